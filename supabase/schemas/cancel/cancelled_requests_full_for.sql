-- Returns in how many seconds, at least 1, the user's oldest row of `cancelled_requests` is kept no
-- longer; null where there is no row.
create or replace function unstuck_private.cancelled_requests_full_for(p_user_id uuid)
returns int
language sql
stable
set search_path = ''
as
$$
  select least(
    greatest(ceil(extract(epoch from min(c.at) + r.keep - clock_timestamp())), 1),
    2147483647)::int
  from unstuck.cancelled_requests c
  join unstuck.retention r on r.kind = 'cancelled_requests'
  where c.user_id = p_user_id
  group by r.keep
$$;

revoke all on function unstuck_private.cancelled_requests_full_for
from public, anon, authenticated, service_role;
