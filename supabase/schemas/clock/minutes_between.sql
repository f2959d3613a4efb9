-- Whole minutes between two times, at least one, for messages to users.
create or replace function unstuck_private.minutes_between(p_from timestamptz, p_to timestamptz)
returns int
language sql
immutable
as
$$
  select greatest(
    round(least(extract(epoch from p_to) - extract(epoch from p_from), 1e11) / 60),
    1)::int
$$;

revoke all on function unstuck_private.minutes_between
from public, anon, authenticated, service_role;
