-- Retries up to 200 of the refunds that are owed, those with the fewest tries first, until
-- `p_until`, of one user only if `p_user_id` is given. It skips jobs that another transaction has
-- locked, and no failure stops the other refunds.
create or replace function unstuck_private.refunds_owed_pay(p_user_id uuid, p_until timestamptz)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_owed record;
  v_step int;
  v_given bigint;
begin
  -- Nothing is owed as a rule, and then no job is read.
  if not exists (select from unstuck.refunds_owed) then
    return;
  end if;
  for v_owed in
    select o.ctid, o.step, o.amount, o.at, o.tries, j as job
    from unstuck.refunds_owed o
    join unstuck.jobs j on j.id = o.job_id
    where j.user_id = coalesce(p_user_id, j.user_id)
    order by o.tries, o.at
    limit 200
  loop
    exit when clock_timestamp() > p_until;
    begin
      continue when unstuck_private.jobs_try_lock(array[(v_owed.job).id]) = '{}';
      -- Another pass may have paid it before this one held the job.
      delete from unstuck.refunds_owed o
      where o.ctid = v_owed.ctid
        and o.tries = v_owed.tries
        and o.amount = v_owed.amount
        and o.job_id = (v_owed.job).id;
      continue when not found;
      -- No entry ever changes: what follows a part of a refund stands under a free number.
      v_step := (
        select case
          when exists (
            select from unstuck.credit_entries e
            where e.job_id = l.job_id
              and e.kind = 'refund'
              and e.step is not distinct from v_owed.step
          ) then l.free_number
          else v_owed.step
        end
        from unstuck_private.jobs_ledger(array[(v_owed.job).id]) l
      );
      v_given := unstuck_private.refund_ask(
        v_owed.job, v_step, v_owed.amount, 'a refund that was owed');
      update unstuck.refunds_owed o
      set at = least(o.at, v_owed.at),
        tries = greatest(o.tries, v_owed.tries + 1)
      where o.job_id = (v_owed.job).id
        and o.step is not distinct from v_step;
      update unstuck.jobs j
      set credits_refunded = j.credits_refunded + v_given
      where j.id = (v_owed.job).id
        and v_given > 0;
    exception when others then
      raise warning 'the refund of % that is owed failed: %', (v_owed.job).id, sqlerrm;
      update unstuck.refunds_owed o
      set tries = o.tries + 1,
        error = sqlerrm
      where o.ctid in (
        select l.ctid
        from unstuck.refunds_owed l
        where l.ctid = v_owed.ctid
          and l.tries = v_owed.tries
          and l.job_id = (v_owed.job).id
        for update skip locked
      );
    end;
  end loop;
end $$;

revoke all on function unstuck_private.refunds_owed_pay
from public, anon, authenticated, service_role;
