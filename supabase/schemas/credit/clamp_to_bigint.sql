-- A sum of credits, cut to what a bigint holds: amounts that were written by hand may add up to
-- more, and a report must not fail for that.
create or replace function unstuck_private.clamp_to_bigint(p_sum numeric) returns bigint
language sql
immutable
as
$$
  select least(greatest(p_sum, -9223372036854775807), 9223372036854775807)::bigint
$$;

revoke all on function unstuck_private.clamp_to_bigint
from public, anon, authenticated, service_role;
