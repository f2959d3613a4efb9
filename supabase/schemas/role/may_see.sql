-- True for the owner of a row, for an admin, for the service role and for the database's own roles.
-- PostgREST sets `role`; psql and pg_cron leave it as `none`.
create or replace function unstuck_private.may_see(p_user_id uuid) returns boolean
language sql
stable
security definer
set search_path = ''
as
$$
  select
    coalesce(current_setting('role', true), 'none') in ('none', 'service_role')
    or p_user_id = auth.uid()
    or unstuck_private.is_admin()
$$;

revoke all on function unstuck_private.may_see from public, anon, authenticated, service_role;
grant execute on function unstuck_private.may_see to authenticated, service_role;
