-- Returns one row for each violation of an invariant among these jobs, users and entries, with the
-- job, or the user and perhaps the entry, that it is about. docs/data-model.md says what each
-- invariant means.
create or replace function unstuck_private.violations_of(
  p_jobs uuid[],
  p_users uuid[],
  p_entries bigint[]
)
returns table (
  invariant text,
  subject text,
  detail text,
  job_id uuid,
  user_id uuid,
  entry_id bigint
)
language plpgsql
stable
set search_path = ''
set jit = off
as
$$
#variable_conflict use_column
begin
  return query
  select j.invariant, j.job_id::text, j.detail, j.job_id, null::uuid, null::bigint
  from unstuck_private.violations_of_jobs(p_jobs) j
  union all
  select e.invariant, e.entry_id::text, e.detail, null, e.user_id, e.entry_id
  from unstuck_private.violations_of_entries(p_jobs, p_users, p_entries) e
  union all
  select b.invariant, b.user_id::text, b.detail, null, b.user_id, null
  from unstuck_private.violations_of_balances(p_users) b
  union all
  select p.invariant, p.purchase_id::text, p.detail, null, p.user_id, null
  from unstuck_private.violations_of_purchases(p_users) p;
end $$;

revoke all on function unstuck_private.violations_of
from public, anon, authenticated, service_role;
