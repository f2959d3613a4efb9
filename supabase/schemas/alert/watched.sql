-- Returns one row for each subject that is watched: its code, whether it is bad now, and a sentence
-- for an operator. It reads what the sweeps have stored and goes through no jobs, so that health
-- and alerts may call it at any rate.
create or replace function unstuck_private.watched(p_now timestamptz)
returns table (subject text, code text, is_bad boolean, words text)
language sql
stable
set search_path = ''
as
$$
  select v.subject, v.subject, v.counted is distinct from 0,
    case
      when v.counted is null then v.unknown
      when v.counted = 0 then v.good
      else format(v.bad, v.counted)
    end
  from unstuck_private.sweep_newest() s
  cross join lateral (
    values
      (
        'stuck',
        s.stuck,
        'Stuck jobs could not be counted.',
        'No job is stuck.',
        '%s jobs are past the deadline of every healer.'
      ),
      (
        'invariants',
        s.violations,
        'The invariants could not be checked.',
        'All invariants hold.',
        '%s invariants are violated.'
      )
  ) as v (subject, counted, unknown, good, bad)
  union all
  select 'settings', 'settings_disagree', count(*) > 0,
    case count(*)
      when 0 then 'All functions have the same settings.'
      else format('Not the same in all functions: %s.', string_agg(d.name, ', ' order by d.name))
    end
  from unstuck_private.settings_differing d
  union all
  select *
  from unstuck_private.watched_healers(p_now)
  union all
  select *
  from unstuck_private.watched_providers(p_now)
  union all
  select *
  from unstuck_private.watched_balances()
  union all
  select *
  from unstuck_private.watched_receiver(p_now)
$$;

revoke all on function unstuck_private.watched from public, anon, authenticated, service_role;
