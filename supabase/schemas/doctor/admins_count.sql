-- Returns how many admins there are, by the app's roles where it has a `has_role` of its own, else
-- by `unstuck.user_roles`; null where the app's roles cannot be counted.
create or replace function unstuck_private.admins_count() returns bigint
language plpgsql
stable
set search_path = ''
as
$$
declare
  v_count bigint;
begin
  if unstuck_private.host_has_role('00000000-0000-0000-0000-000000000000', 'admin') is null then
    select count(*)
    into v_count
    from unstuck.user_roles r
    where r.role = 'admin';
    return v_count;
  end if;
  execute 'select count(*) from public.user_roles r where r.role::text = ''admin'''
  into v_count;
  return v_count;
exception when syntax_error_or_access_rule_violation then
  return null;
end $$;

revoke all on function unstuck_private.admins_count from public, anon, authenticated, service_role;
