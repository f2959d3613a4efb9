-- Records in `sessions` what a page says, for `session_leave_v1` and `session_stay_v1`: that it
-- counts as left after `p_after`, and with `p_stays` also that it is open now. Returns the time
-- from which on its waiting jobs are cancelled.
--
-- Refuses: bad_request (no user or no session), rate_limited (the user has 1,000 sessions already).
create or replace function unstuck_private.session_word(
  p_user_id uuid,
  p_session_id text,
  p_after interval,
  p_stays boolean
)
returns timestamptz
language plpgsql
set search_path = ''
as
$$
declare
  v_now timestamptz := clock_timestamp();
begin
  if p_user_id is null or coalesce(p_session_id, '') = '' then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  if not exists (
      select from unstuck.sessions s
      where s.user_id = p_user_id and s.id = p_session_id
    )
    and (select count(*) from unstuck.sessions s where s.user_id = p_user_id) >= 1000
  then
    perform unstuck_private.refuse(
      429,
      'rate_limited',
      jsonb_build_object('retry_after', unstuck_private.sessions_full_for(p_user_id))
    );
  end if;
  insert into unstuck.sessions as s (id, user_id, seen_at, left_at)
  values (p_session_id, p_user_id, case when p_stays then v_now end, v_now + p_after)
  on conflict (user_id, id) do update
  set seen_at = coalesce(excluded.seen_at, s.seen_at), left_at = excluded.left_at;
  return v_now + p_after;
end $$;

revoke all on function unstuck_private.session_word from public, anon, authenticated, service_role;
