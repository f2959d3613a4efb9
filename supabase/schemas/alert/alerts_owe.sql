-- Compares what is watched (`watched`) with what the receiver of alerts was told, and writes a row
-- of `messages_owed` for each difference. `p_to` is the name of the receiver, `p_due_at` the
-- earliest time at which the messages may be sent. One transaction at a time does this; a second
-- one returns at once.
--
-- A subject that turns bad is told at once, one that is good again after a minute. Once it was told
-- to be good, it is told to be bad at the earliest five minutes later, so that a subject that keeps
-- changing causes few messages. A subject that stays bad is told every `p_repeat`; null: once only.
-- A subject that is no longer watched counts as good.
create or replace function unstuck_private.alerts_owe(
  p_to text,
  p_now timestamptz,
  p_due_at timestamptz,
  p_repeat interval
)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  if not pg_catalog.pg_try_advisory_xact_lock(
    pg_catalog.hashtextextended('unstuck_private.alerts_owe', 0)
  ) then
    return;
  end if;
  with watched as materialized (
    select w.subject, w.code, w.is_bad, w.words
    from unstuck_private.watched(p_now) w
  ), unwatched as (
    update unstuck_private.alert_states a
    set is_bad = false,
      words = 'Nobody watches this any more.',
      since = p_now
    where a.is_bad
      and not exists (select from watched w where w.subject = a.subject)
  )
  insert into unstuck_private.alert_states as a (subject, code, is_bad, words, since)
  select w.subject, w.code, w.is_bad, w.words, p_now
  from watched w
  on conflict (subject) do update
  set is_bad = excluded.is_bad,
    words = excluded.words,
    since = case when a.is_bad = excluded.is_bad then a.since else excluded.since end
  where (a.is_bad, a.words) is distinct from (excluded.is_bad, excluded.words);

  with told as (
    select a.subject,
      case
        when not a.is_bad then 'good'
        when a.told_bad_at is null then 'bad'
        else 'still_bad'
      end as state
    from unstuck_private.alert_states a
    where case
      when not a.is_bad then
        a.told_bad_at is not null and a.since <= p_now - interval '1 minute'
      when a.told_bad_at is null then
        coalesce(a.told_at <= p_now - interval '5 minutes', true)
      else a.told_at <= p_now - p_repeat
    end
  ), marked as (
    update unstuck_private.alert_states a
    set told_at = p_now,
      told_bad_at = case t.state
        when 'good' then null
        when 'bad' then p_now
        else a.told_bad_at
      end
    from told t
    where a.subject = t.subject
    returning a.subject, a.code, a.words, a.since, t.state
  )
  insert into unstuck.messages_owed (kind, "to", body, due_at)
  select 'alert', p_to,
    jsonb_build_object(
      'state', m.state,
      'subject', m.subject,
      'code', m.code,
      'message', m.words,
      'since', m.since,
      'at', p_now
    ),
    p_due_at
  from marked m;
end $$;

revoke all on function unstuck_private.alerts_owe from public, anon, authenticated, service_role;
