create or replace function unstuck.session_leave_v1(
  p_user_id uuid,
  p_session_id text,
  p_grace_seconds int
)
returns table (cancel_at timestamptz)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
begin
  perform unstuck_private.refuse_other_deployment();
  if p_grace_seconds is null or p_grace_seconds not between 0 and 300 then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  return query
  select unstuck_private.session_word(
    p_user_id, p_session_id, make_interval(secs => p_grace_seconds), false);
end $$;

comment on function unstuck.session_leave_v1 is $c$
Caller: leave-session, for the verified user.

Effect: the user's waiting jobs of that session, also those that arrive until then, are cancelled by
the next healer after cancel_at, as session_cancel_v1 does, unless session_stay_v1 comes first.

Refuses: bad_request (a grace outside of 0 to 300 seconds), rate_limited (1,000 sessions are kept
per user, a day each).

Replay: the grace begins anew.
$c$;

revoke all on function unstuck.session_leave_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.session_leave_v1 to service_role;
