-- Returns a provider as the admin's page shows it: its settings, its circuit, its newest alarm, how
-- many of its steps hold a slot and how many are queued.
create or replace function unstuck_private.provider_settings(p_provider unstuck.providers)
returns jsonb
language sql
stable
set search_path = ''
as
$$
  select jsonb_build_object(
    'provider', p_provider.provider,
    'enabled', p_provider.enabled,
    'maxConcurrent', p_provider.max_concurrent,
    'learnedLimit', p_provider.learned_limit,
    'running', (
      select count(*)
      from unstuck.job_steps s
      where s.provider = p_provider.provider and unstuck_private.holds_slot(s)
    ),
    'waiting', (
      select count(*)
      from unstuck.job_steps s
      where s.provider = p_provider.provider and s.status = 'queued'
    ),
    'circuitOpenUntil', p_provider.circuit_open_until,
    'circuitReason', p_provider.circuit_reason,
    'balanceLeast', p_provider.balance_least,
    'lastAlarm', (
      select jsonb_build_object('at', a.last_at, 'code', a.code, 'tool', a.tool, 'count', a.count)
      from unstuck.provider_alarms a
      where a.provider = p_provider.provider
      order by a.last_at desc
      limit 1
    )
  )
$$;

revoke all on function unstuck_private.provider_settings
from public, anon, authenticated, service_role;
