-- Audits the rows of `unaudited` in pages of 500 until none is left or `p_budget` is over; the next
-- pass does the rest. Before that it audits once more the jobs and users of the 100 stored
-- violations that were checked longest ago, so that none outlives its cause. A second call while
-- one is at work returns at once, so that each change is audited once.
create or replace function unstuck_private.audit(p_budget interval) returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_until timestamptz := clock_timestamp() + p_budget;
  v_ids bigint[];
  v_last bigint := 0;
  v_jobs uuid[];
  v_users uuid[];
  v_entries bigint[];
begin
  perform 1
  from unstuck_private.audit_lock
  for update skip locked;
  if not found then
    return;
  end if;
  select array_agg(f.job_id) filter (where f.job_id is not null),
    array_agg(f.user_id) filter (where f.user_id is not null)
  into v_jobs, v_users
  from (
    select distinct c.job_id, c.user_id
    from (
      select *
      from unstuck.violations_found s
      order by s.checked_at
      limit 100
    ) c
  ) f;
  if v_jobs is not null or v_users is not null then
    perform unstuck_private.audit_page(v_jobs, v_users, '{}');
  end if;
  loop
    select array_agg(u.id),
      max(u.id),
      array_agg(distinct u.job_id) filter (where u.job_id is not null),
      array_agg(distinct u.user_id) filter (where u.user_id is not null),
      array_agg(u.entry_id) filter (where u.entry_id is not null)
    into v_ids, v_last, v_jobs, v_users, v_entries
    from (
      select *
      from unstuck_private.unaudited n
      where n.id > v_last
      order by n.id
      limit 500
    ) u;
    exit when v_ids is null;
    perform unstuck_private.audit_page(v_jobs, v_users, v_entries);
    delete from unstuck_private.unaudited u
    where u.id = any (v_ids);
    exit when clock_timestamp() > v_until;
  end loop;
  update unstuck_private.audit_lock
  set audited_at = clock_timestamp();
end $$;

revoke all on function unstuck_private.audit from public, anon, authenticated, service_role;
