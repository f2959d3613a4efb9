-- Audits these jobs, users and entries: stores the violations that it finds and deletes the stored
-- ones of these jobs and users that no longer hold.
create or replace function unstuck_private.audit_page(
  p_jobs uuid[],
  p_users uuid[],
  p_entries bigint[]
)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  with found as materialized (
    select *
    from unstuck_private.violations_of_each(p_jobs, p_users, p_entries)
  ), stored as (
    select f.invariant, f.subject
    from unnest(p_jobs) as n (id)
    join unstuck.violations_found f on f.job_id = n.id
    union
    select f.invariant, f.subject
    from unnest(p_users) as n (id)
    join unstuck.violations_found f on f.user_id = n.id
  ), mended as (
    delete from unstuck.violations_found f
    using stored s
    where f.invariant = s.invariant
      and f.subject = s.subject
      and not exists (
        select from found o
        where o.invariant = f.invariant and o.subject = f.subject
      )
  )
  insert into unstuck.violations_found
    (invariant, subject, detail, job_id, user_id, entry_id)
  select o.invariant, o.subject, o.detail, o.job_id, o.user_id, o.entry_id
  from found o
  on conflict (invariant, subject) do update set
    detail = excluded.detail,
    checked_at = excluded.checked_at;
end $$;

revoke all on function unstuck_private.audit_page from public, anon, authenticated, service_role;
