-- A tool as the admin's page shows it.
create or replace function unstuck_private.tool_settings(p_tool unstuck.tools) returns jsonb
language sql
stable
set search_path = ''
as
$$
  select jsonb_build_object(
    'tool', p_tool.tool,
    'table', p_tool.table_name,
    'provider', p_tool.provider,
    'enabled', p_tool.enabled,
    'creditCost', p_tool.credit_cost,
    'pricedPer', p_tool.priced_per,
    'refundRule', p_tool.refund_rule,
    'startTimeoutSeconds', extract(epoch from p_tool.start_timeout)::bigint,
    'runTimeoutSeconds', extract(epoch from p_tool.run_timeout)::bigint,
    'queueTtlSeconds', extract(epoch from p_tool.queue_ttl)::bigint,
    'attemptMax', p_tool.attempt_max,
    'userCancelRunning', p_tool.user_cancel_running,
    'circuitOpenUntil', p_tool.circuit_open_until,
    'circuitReason', p_tool.circuit_reason,
    'providerCost', p_tool.provider_cost
  )
$$;

revoke all on function unstuck_private.tool_settings from public, anon, authenticated, service_role;
