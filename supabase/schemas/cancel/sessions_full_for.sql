-- Seconds until the oldest row of `sessions` of this user is kept no longer.
create or replace function unstuck_private.sessions_full_for(p_user_id uuid)
returns int
language sql
stable
set search_path = ''
as
$$
  select greatest(ceil(extract(epoch from min(s.left_at) + r.keep - clock_timestamp())), 1)::int
  from unstuck.sessions s
  join unstuck.retention r on r.kind = 'sessions'
  where s.user_id = p_user_id
  group by r.keep
$$;

revoke all on function unstuck_private.sessions_full_for
from public, anon, authenticated, service_role;
