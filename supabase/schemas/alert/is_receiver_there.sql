-- True while the functions have a receiver of the ends of jobs: one of them asked for its messages
-- within the last day. Only then `ends_owe` writes messages.
create or replace function unstuck_private.is_receiver_there() returns boolean
language sql
stable
set search_path = ''
as
$$
  select exists (
    select from unstuck_private.healer_marks m
    where m.healer = 'receiver'
      and m.seen_at > clock_timestamp() - interval '1 day'
  )
$$;

revoke all on function unstuck_private.is_receiver_there
from public, anon, authenticated, service_role;
