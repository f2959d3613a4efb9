-- Returns the message of a job that ran out of time, such as `not started after 10 minutes.`
create or replace function unstuck_private.timeout_message(
  p_is_waiting boolean,
  p_since timestamptz,
  p_now timestamptz
)
returns text
language sql
stable
as
$$
  select format('%s after %s.',
    case when p_is_waiting then 'not started' else 'no result' end,
    unstuck_private.minutes_text(unstuck_private.minutes_between(p_since, p_now)))
$$;

revoke all on function unstuck_private.timeout_message
from public, anon, authenticated, service_role;
