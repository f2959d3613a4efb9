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
Caller: policies, the admin functions, and apps that check a role.

Effect: none. True when the user holds the role now. The host's own has_role decides where the host
has one, else unstuck.user_roles.

Refuses: nothing.

Replay: reads again.
$c$;

revoke all on function unstuck.has_role from public, anon, authenticated, service_role;
grant execute on function unstuck.has_role to service_role;
-- The policies of Supabase apps call it as the signed-in user.
grant execute on function unstuck.has_role to authenticated;
