-- Returns a header of the request that PostgREST serves; null where the request lacks it, and
-- outside of a request.
create or replace function unstuck_private.request_header(p_name text) returns text
language sql
stable
as
$$
  select nullif(current_setting('request.headers', true), '')::jsonb ->> p_name
$$;

revoke all on function unstuck_private.request_header
from public, anon, authenticated, service_role;
