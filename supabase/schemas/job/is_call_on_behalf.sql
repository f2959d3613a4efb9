-- True when the service makes this call on behalf of a user: the request has the header
-- `x-unstuck-caller: service`.
create or replace function unstuck_private.is_call_on_behalf() returns boolean
language sql
stable
as
$$
  select coalesce(unstuck_private.caller_header() = 'service', false)
$$;

revoke all on function unstuck_private.is_call_on_behalf
from public, anon, authenticated, service_role;
