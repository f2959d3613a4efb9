-- True when the caller is signed in and is an admin now.
create or replace function unstuck_private.is_admin() returns boolean
language sql
stable
security definer
set search_path = ''
as
$$
  select auth.uid() is not null and unstuck.has_role(auth.uid(), 'admin')
$$;

revoke all on function unstuck_private.is_admin from public, anon, authenticated, service_role;
grant execute on function unstuck_private.is_admin to authenticated, service_role;
