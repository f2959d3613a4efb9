-- Returns in how many seconds, at least 1, the user's oldest row of `sessions` is kept no longer;
-- null where there is no row.
create or replace function unstuck_private.sessions_full_for(p_user_id uuid)
returns int
language sql
stable
set search_path = ''
as
$$
  select least(
    greatest(ceil(extract(epoch from min(s.left_at) + r.keep - clock_timestamp())), 1),
    2147483647)::int
  from unstuck.sessions s
  join unstuck.retention r on r.kind = 'sessions'
  where s.user_id = p_user_id
  group by r.keep
$$;

revoke all on function unstuck_private.sessions_full_for
from public, anon, authenticated, service_role;
