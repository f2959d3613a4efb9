-- Returns a number that a request holds as text, with up to nine digits before the point; null for
-- any other text, so that one such row does not make a whole view unreadable.
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
