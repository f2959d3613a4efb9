create or replace function unstuck.prices_change_v1(
  p_actor uuid,
  p_change jsonb default null,
  p_reason text default null
)
returns table (tool text, rule jsonb)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, p_reason);
  if p_change is not null then
    perform unstuck_private.refuse_without_reason(p_reason);
    perform unstuck_private.price_rule_change(p_change);
  end if;
  return query
  select
    p.tool,
    jsonb_build_object(
      'tool', p.tool,
      'position', p.position,
      'matches', p.matches,
      'credits', p.credits,
      'pricedPer', p.priced_per,
      'quantity', p.quantity,
      'creditsMin', p.credits_min,
      'note', p.note
    )
  from unstuck.tool_prices p
  order by p.tool, p.position;
exception
  when check_violation or numeric_value_out_of_range or invalid_text_representation
    or not_null_violation or foreign_key_violation
  then
    perform unstuck_private.refuse(400, 'bad_request');
end $$;

comment on function unstuck.prices_change_v1 is $c$
Caller: admin-settings. The role of p_actor is read in the same transaction.

Effect: changes the rule of `tool` and `position` in p_change, or adds it: matches, credits,
pricedPer, quantity, creditsMin, note; remove: true deletes it. A trigger writes admin_log. What was
ordered keeps its price. Returns all rules as they now are; without p_change it only reads.

Refuses: forbidden, not_found (a rule to remove), bad_request (no reason; a rule that the table
refuses).

Replay: changes nothing; a rule that is removed already is not_found.
$c$;

revoke all on function unstuck.prices_change_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.prices_change_v1 to service_role;
