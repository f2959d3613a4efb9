-- Returns the lines of `metrics` that show the present state: slots and queues, circuits, balances,
-- owed messages, the counts of the newest sweep, and the age of healers, webhooks and counters.
create or replace function unstuck_private.gauges(p_now timestamptz)
returns table (name text, labels jsonb, value double precision)
language sql
stable
set search_path = ''
as
$$
  select g.name, jsonb_build_object('provider', p.provider), g.value
  from unstuck.providers p
  cross join lateral (
    values
      (
        'unstuck_slots_in_use',
        (
          select count(*)
          from unstuck.job_steps s
          where s.provider = p.provider and unstuck_private.holds_slot(s)
        )::double precision
      ),
      ('unstuck_slots_limit', unstuck_private.slot_limit(p, p_now)),
      (
        'unstuck_steps_waiting',
        (
          select count(*)
          from unstuck.job_steps s
          where s.provider = p.provider and s.status = 'queued'
        )
      ),
      ('unstuck_provider_enabled', p.enabled::int),
      ('unstuck_circuit_open', (p.circuit_open_until is not null)::int)
  ) as g (name, value)
  union all
  select
    case when m.healer like 'webhook:%' then 'unstuck_webhook_age_seconds'
      else 'unstuck_healer_age_seconds'
    end,
    case when m.healer like 'webhook:%'
      then jsonb_build_object('provider', substr(m.healer, 9))
      else jsonb_build_object('healer', m.healer)
    end,
    extract(epoch from p_now - m.seen_at)
  from unstuck_private.healer_marks m
  where m.seen_at is not null
    and m.healer <> 'receiver'
  union all
  select g.name, '{}', g.value
  from unstuck_private.sweep_newest() s
  cross join lateral (
    values
      ('unstuck_sweep_age_seconds', extract(epoch from p_now - s.finished_at)::float8),
      ('unstuck_stuck_jobs', s.stuck),
      ('unstuck_violations', s.violations)
  ) as g (name, value)
  where g.value is not null
  union all
  select 'unstuck_provider_balance', jsonb_build_object('provider', b.provider, 'unit', a.key),
    a.value::text::double precision
  from unstuck_private.provider_balances b
  cross join lateral jsonb_each(b.amounts) a
  where jsonb_typeof(a.value) = 'number'
  union all
  select 'unstuck_messages_owed', '{}', count(*)
  from unstuck.messages_owed m
  where m.sent_at is null and m.given_up_at is null
  union all
  select 'unstuck_counters_age_seconds', '{}', extract(epoch from p_now - c.at)
  from unstuck_private.counted_until c
$$;

revoke all on function unstuck_private.gauges from public, anon, authenticated, service_role;
