-- Called after jobs or ledger entries of these users were deleted. Records when a user lost all
-- jobs and still has ledger entries of jobs, or lost the whole ledger and still has jobs. Forgets
-- the users who have neither.
create or replace function unstuck_private.removals_record(p_users uuid[]) returns void
language plpgsql
set search_path = ''
as
$$
begin
  with remains as (
    select u.id as user_id,
      exists (select from unstuck.jobs j where j.user_id = u.id) as has_jobs,
      exists (select from unstuck.credit_entries e where e.user_id = u.id) as has_ledger
    from unnest(p_users) as u (id)
  ), forgotten as (
    delete from unstuck_private.removals r
    using remains l
    where r.user_id = l.user_id and not l.has_jobs and not l.has_ledger
  )
  insert into unstuck_private.removals as r (user_id, jobs_removed_at, ledger_removed_at)
  select l.user_id,
    case when not l.has_jobs then clock_timestamp() else '-infinity' end,
    case when not l.has_ledger then clock_timestamp() else '-infinity' end
  from remains l
  where l.has_jobs and not l.has_ledger
    or not l.has_jobs and exists (
      select from unstuck.credit_entries e
      where e.user_id = l.user_id and e.job_id is not null
    )
  on conflict (user_id) do update set
    jobs_removed_at = greatest(r.jobs_removed_at, excluded.jobs_removed_at),
    ledger_removed_at = greatest(r.ledger_removed_at, excluded.ledger_removed_at);
end $$;

revoke all on function unstuck_private.removals_record
from public, anon, authenticated, service_role;
