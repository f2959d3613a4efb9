-- Locks for a healer those of these jobs that no other transaction has locked: the account, an
-- adapter's wallet, the job and each of its steps, in this order. It waits for none of them; the
-- next pass heals what is skipped here. Returns the jobs that are locked with all of this.
--
-- A job whose user has no account and no ledger needs no account's lock, because it gets no refund.
-- A user who has a ledger but no account, because rows were written by hand, gets one here. The
-- lock_timeout is for that insert, which would wait for another one of the same user.
create or replace function unstuck_private.jobs_try_lock(p_ids uuid[]) returns uuid[]
language plpgsql
set search_path = ''
set lock_timeout = '20ms'
as
$$
declare
  v_users uuid[];
  v_jobs uuid[];
  v_user uuid;
begin
  for v_user in
    select distinct j.user_id
    from unstuck.jobs j
    where j.id = any (p_ids)
      and not exists (select from unstuck.credit_accounts a where a.user_id = j.user_id)
      and unstuck_private.has_ledger_entries(j.id)
    order by 1
  loop
    begin
      insert into unstuck.credit_accounts (user_id)
      values (v_user)
      on conflict do nothing;
    exception when lock_not_available then
      null;
    end;
  end loop;

  v_users := array(
    select distinct j.user_id
    from unstuck.jobs j
    where j.id = any (p_ids)
  );
  v_users := array(
    select a.user_id
    from unstuck.credit_accounts a
    where a.user_id = any (v_users)
    order by a.user_id
    for update skip locked
  );
  if unstuck_private.has_adapter() then
    v_users := unstuck_private.wallets_try_lock(v_users);
  end if;
  v_jobs := array(
    select j.id
    from unstuck.jobs j
    where j.id = any (p_ids)
      and (
        j.user_id = any (v_users)
        or not exists (select from unstuck.credit_accounts a where a.user_id = j.user_id)
          and not unstuck_private.has_ledger_entries(j.id)
      )
    order by j.id
    for update skip locked
  );
  return array(
    with held as (
      select s.job_id, s.step
      from unstuck.job_steps s
      where s.job_id = any (v_jobs)
      order by s.job_id, s.step
      for update skip locked
    )
    select n.id
    from unnest(v_jobs) as n (id)
    where n.id not in (
      select s.job_id
      from unstuck.job_steps s
      left join held h using (job_id, step)
      where s.job_id = any (v_jobs)
        and h.job_id is null
    )
  );
end $$;

revoke all on function unstuck_private.jobs_try_lock from public, anon, authenticated, service_role;
