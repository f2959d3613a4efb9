-- Returns every violation that there is now: the stored ones, unless their job or user has changed
-- since the last audit; those among the changes since then; and those of `violations_now`. Of a
-- long list of changes only the newest 2,000 are audited, so that a read never takes long.
create or replace function unstuck_private.violations()
returns table (invariant text, subject text, detail text)
language plpgsql
stable
set search_path = ''
as
$$
#variable_conflict use_column
declare
  v_jobs uuid[];
  v_users uuid[];
  v_entries bigint[];
begin
  select array_agg(distinct u.job_id) filter (where u.job_id is not null),
    array_agg(distinct u.user_id) filter (where u.user_id is not null),
    array_agg(u.entry_id) filter (where u.entry_id is not null)
  into v_jobs, v_users, v_entries
  from (
    select *
    from unstuck_private.unaudited n
    order by n.id desc
    limit 2000
  ) u;
  return query
  select f.invariant, f.subject, f.detail
  from unstuck.violations_found f
  where not exists (select from unnest(v_jobs) as n (id) where n.id = f.job_id)
    and not exists (select from unnest(v_users) as n (id) where n.id = f.user_id)
  order by f.found_at;
  return query
  select o.invariant, o.subject, o.detail
  from unstuck_private.violations_of_each(v_jobs, v_users, v_entries) o;
  return query
  select o.invariant, o.subject, o.detail
  from unstuck_private.violations_now() o;
end $$;

revoke all on function unstuck_private.violations from public, anon, authenticated, service_role;
