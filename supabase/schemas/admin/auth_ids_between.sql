-- Returns up to `p_limit` users of the project whose ids lie between `p_from` and `p_to`; no row
-- where our role cannot read `auth.users`.
create or replace function unstuck_private.auth_ids_between(p_from uuid, p_to uuid, p_limit int)
returns table (user_id uuid)
language plpgsql
stable
set search_path = ''
as
$$
begin
  return query
  select u.id
  from auth.users u
  where u.id between p_from and p_to
  limit p_limit;
exception
  when invalid_schema_name or undefined_table or undefined_column or insufficient_privilege then
    return;
end $$;

revoke all on function unstuck_private.auth_ids_between
from public, anon, authenticated, service_role;
