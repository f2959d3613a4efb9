-- True when a healer at the edge makes this call: the request has the header
-- `x-unstuck-caller: healer`. What other transactions have locked is then left to the next pass.
create or replace function unstuck_private.is_healers_call() returns boolean
language sql
stable
as
$$
  select coalesce(unstuck_private.caller_header() = 'healer', false)
$$;

revoke all on function unstuck_private.is_healers_call
from public, anon, authenticated, service_role;
