-- A number out of a request, or null: one row with another text must not make a whole view
-- unreadable.
create or replace function unstuck_private.number_or_null(p_text text) returns numeric
language sql
immutable
as
$$
  select substring(p_text from '^-?[0-9]{1,9}(?:[.][0-9]+)?$')::numeric
$$;

revoke all on function unstuck_private.number_or_null
from public, anon, authenticated, service_role;
grant execute on function unstuck_private.number_or_null to authenticated, service_role;
