-- Returns the e-mail address of a user, confirmed or not; null where there is no such user, or
-- where our role cannot read `auth.users`.
create or replace function unstuck_private.auth_email(p_user_id uuid) returns text
language plpgsql
stable
set search_path = ''
as
$$
begin
  return (
    select u.email
    from auth.users u
    where u.id = p_user_id
  );
exception
  when invalid_schema_name or undefined_table or undefined_column or insufficient_privilege then
    return null;
end $$;

revoke all on function unstuck_private.auth_email from public, anon, authenticated, service_role;
