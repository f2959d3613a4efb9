create or replace function unstuck.session_stay_v1(p_user_id uuid, p_session_id text)
returns table (cancel_at timestamptz)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
begin
  perform unstuck_private.refuse_other_deployment();
  return query
  select unstuck_private.session_word(
    p_user_id, p_session_id, unstuck_private.session_silence(), true);
end $$;

comment on function unstuck.session_stay_v1 is $c$
Caller: stay, for the verified user: on load, and every minute while something waits.

Effect: takes back what session_leave_v1 announced, unless a healer was first. From now on the
session counts as left once it was silent for 150 seconds (cancel_at).

Refuses: bad_request, rate_limited, as session_leave_v1 does.

Replay: the silence begins anew.
$c$;

revoke all on function unstuck.session_stay_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.session_stay_v1 to service_role;
