-- Heals one page of `sweep`: locks the jobs that no other transaction has locked, judges them under
-- the locks (`jobs_due_each`) and finalises those that are due. Returns a row for each of them, and
-- a last row with the number of due jobs that are left over, because they are locked or exceed
-- `p_limit`. Nearly all jobs that were found by age are well, so those are judged before they are
-- locked.
create or replace function unstuck_private.sweep_page(
  p_now timestamptz,
  p_by text,
  p_ids uuid[],
  p_limit int,
  p_until timestamptz
)
returns table (
  job_id uuid,
  tool text,
  status text,
  refunded bigint,
  requeued int,
  remaining int
)
language plpgsql
set search_path = ''
as
$$
#variable_conflict use_column
declare
  v_due record;
begin
  if p_by = 'age' then
    begin
      p_ids := array(select d.job_id from unstuck_private.jobs_due(p_now, p_ids) d);
    exception when others then
      -- One of them cannot be judged: `jobs_due_each` finds it under the locks.
      null;
    end;
  end if;
  v_due := unstuck_private.jobs_due_each(p_now, unstuck_private.jobs_try_lock(p_ids));
  return query
  select c.job_id, c.tool, c.status, c.refunded, 0, 0
  from unstuck_private.jobs_finalise_each(
    v_due.ids, v_due.statuses, v_due.codes, v_due.messages, p_until, p_limit) c;
  return query
  select null::uuid, null::text, null::text, 0::bigint, 0,
    unstuck_private.count_due_among(p_now, p_ids);
end $$;

revoke all on function unstuck_private.sweep_page from public, anon, authenticated, service_role;
