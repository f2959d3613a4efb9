create or replace function unstuck.tools_change_v1(
  p_actor uuid,
  p_change jsonb default null,
  p_reason text default null
)
returns table (tool text, settings jsonb)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_old unstuck.tools;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, p_reason);
  if p_change is not null then
    if p_change ->> 'creditCost' is not null or p_change ->> 'pricedPer' is not null then
      perform unstuck_private.refuse_without_reason(p_reason);
    end if;
    select *
    into v_old
    from unstuck.tools t
    where t.tool = p_change ->> 'tool'
    for no key update;
    if not found then
      perform unstuck_private.refuse(404, 'not_found');
    end if;
    perform unstuck_private.tool_change(v_old, p_change);
  end if;
  return query
  select t.tool, unstuck_private.tool_settings(t)
  from unstuck.tools t
  order by t.tool;
exception when check_violation or numeric_value_out_of_range or invalid_text_representation then
  perform unstuck_private.refuse(400, 'bad_request');
end $$;

comment on function unstuck.tools_change_v1 is $c$
Caller: admin-settings. The role of p_actor is read in the same transaction.

Effect: changes the settings of a tool that p_change names beside `tool` (enabled, creditCost,
pricedPer, runTimeoutSeconds, queueTtlSeconds, attemptMax, userCancelRunning, providerCost;
closeCircuit: true), and writes what changed to admin_log. Orders that are under way keep what they
were told. Returns all tools as they now are; without p_change it only reads.

Refuses: forbidden, not_found, bad_request (a value that the table refuses; a price without a
reason).

Replay: changes nothing.
$c$;

revoke all on function unstuck.tools_change_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.tools_change_v1 to service_role;
