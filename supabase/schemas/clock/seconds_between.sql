-- Whole seconds from one time to another, cut to what an int holds: a time that was written by hand
-- may be infinite, and one such row must not make a whole list unreadable.
create or replace function unstuck_private.seconds_between(p_from timestamptz, p_to timestamptz)
returns int
language sql
immutable
strict
as
$$
  select greatest(
    least(extract(epoch from p_to) - extract(epoch from p_from), 2147483647),
    -2147483647)::int
$$;

revoke all on function unstuck_private.seconds_between
from public, anon, authenticated, service_role;
grant execute on function unstuck_private.seconds_between to authenticated, service_role;
