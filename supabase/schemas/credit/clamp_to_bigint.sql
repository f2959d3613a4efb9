-- A sum of credits as far as a bigint holds it: amounts written by hand may add up to more, and a
-- report must not fail for that.
create or replace function unstuck_private.clamp_to_bigint(p_sum numeric) returns bigint
language sql
immutable
as
$$
  select least(greatest(p_sum, -9223372036854775807), 9223372036854775807)::bigint
$$;

revoke all on function unstuck_private.clamp_to_bigint
from public, anon, authenticated, service_role;
