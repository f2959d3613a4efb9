create or replace function unstuck_private.visible_violations() returns table (invariant text, subject text, detail text)
language sql
stable
security definer
set search_path = ''
as
$$ select v.invariant, v.subject, v.detail from unstuck_private.violations('-infinity') v where unstuck_private.may_see(null) $$;

revoke all on function unstuck_private.visible_violations from public, anon, authenticated, service_role;
grant execute on function unstuck_private.visible_violations to authenticated, service_role;
