-- True where the caller is signed in as this user, and is no admin.
create or replace function unstuck_private.is_by_user(p_user_id uuid) returns boolean
language sql
stable
set search_path = ''
as
$$
  select coalesce(p_user_id = auth.uid(), false) and not unstuck_private.is_admin()
$$;

revoke all on function unstuck_private.is_by_user from public, anon, authenticated, service_role;
