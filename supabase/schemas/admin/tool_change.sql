-- Writes the settings that `p_change` has to a tool, which the caller has locked; triggers log them
-- in `admin_log`. With `closeCircuit` it also closes the tool's open circuit and logs that as an
-- act of its own, `circuit_closed`.
create or replace function unstuck_private.tool_change(p_tool unstuck.tools, p_change jsonb)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  update unstuck.tools t
  set enabled = coalesce((p_change ->> 'enabled')::boolean, t.enabled),
    credit_cost = coalesce((p_change ->> 'creditCost')::bigint, t.credit_cost),
    priced_per = coalesce(p_change ->> 'pricedPer', t.priced_per),
    run_timeout = coalesce(
      (p_change ->> 'runTimeoutSeconds')::int * interval '1 second', t.run_timeout),
    queue_ttl = coalesce((p_change ->> 'queueTtlSeconds')::int * interval '1 second', t.queue_ttl),
    attempt_max = coalesce((p_change ->> 'attemptMax')::int, t.attempt_max),
    user_cancel_running = coalesce(
      (p_change ->> 'userCancelRunning')::boolean, t.user_cancel_running),
    provider_cost = coalesce((p_change ->> 'providerCost')::numeric, t.provider_cost)
  where t.tool = p_tool.tool;
  if (p_change ->> 'closeCircuit')::boolean and p_tool.circuit_open_until is not null then
    update unstuck.tools t
    set circuit_open_until = null
    where t.tool = p_tool.tool;
    perform unstuck_private.admin_log_write(
      'circuit_closed', p_tool.tool, jsonb_build_object('reason', p_tool.circuit_reason), null);
  end if;
end $$;

revoke all on function unstuck_private.tool_change from public, anon, authenticated, service_role;
