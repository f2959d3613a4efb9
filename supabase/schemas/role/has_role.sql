create or replace function unstuck.has_role(_user_id uuid, _role unstuck.app_role) returns boolean
language sql
stable
security definer
set search_path = ''
as
$$
  select coalesce(
    unstuck_private.host_has_role(_user_id, _role::text),
    exists (
      select from unstuck.user_roles r
      where r.user_id = _user_id and r.role = _role
    )
  )
$$;

comment on function unstuck.has_role is $c$
Caller: policies, the admin functions. True when the user holds the role now: the host's own
has_role decides where the host has one, else unstuck.user_roles.
$c$;

revoke all on function unstuck.has_role from public, anon, authenticated, service_role;
grant execute on function unstuck.has_role to service_role;
-- Policies ask for the caller's role, as Supabase apps expect.
grant execute on function unstuck.has_role to authenticated;
