-- Returns the header `x-unstuck-caller`, by which our functions say who makes a call. It is null in
-- a call that a page makes itself, because a page may write any header, also by an app's own role.
create or replace function unstuck_private.caller_header() returns text
language sql
stable
as
$$
  select unstuck_private.request_header('x-unstuck-caller')
  where coalesce(current_setting('role', true), 'none') in ('none', 'service_role')
$$;

revoke all on function unstuck_private.caller_header
from public, anon, authenticated, service_role;
