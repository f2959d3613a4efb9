-- Returns the price of an order of this tool, in credits, for this input and `p_steps` steps.
-- `p_measured` is what the order's stored files hold together, such as
-- `{"seconds": 12.4, "megapixels": 3.2}`.
--
-- `unmeasured` names the unit, `second` or `megapixel`, by which the order is priced and which
-- `p_measured` lacks; otherwise it is null. `credits` is then the rule's largest price, and
-- `lowest` the price of the smallest files. Where `p_measured` is null, a Worker of the version
-- before orders, which measures nothing: its users pay the rule's `credits_min`, if it has one.
create or replace function unstuck_private.order_price(
  p_tool unstuck.tools,
  p_input jsonb,
  p_steps int,
  p_measured jsonb,
  out credits bigint,
  out unmeasured text,
  out lowest bigint
)
language plpgsql
stable
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
as
$$
declare
  v_rule unstuck.tool_prices;
  v_measured numeric;
begin
  select p.*
  into v_rule
  from unstuck.tool_prices p
  where p.tool = p_tool.tool
    and not exists (
      select
      from jsonb_each(p.matches) m
      where not unstuck_private.condition_holds(p_input -> m.key, m.value)
    )
  order by p.position
  limit 1;
  if not found then
    credits := p_tool.credit_cost * case p_tool.priced_per when 'step' then p_steps else 1 end;
    lowest := credits;
    return;
  end if;
  if v_rule.priced_per in ('second', 'megapixel') then
    v_measured := case jsonb_typeof(p_measured -> (v_rule.priced_per || 's'))
      when 'number' then greatest((p_measured ->> (v_rule.priced_per || 's'))::numeric, 0)
    end;
    if v_measured is null then
      unmeasured := v_rule.priced_per;
    end if;
  end if;
  credits := greatest(
    v_rule.credits * case v_rule.priced_per
      when 'job' then 1
      when 'step' then p_steps
      else ceil(least(v_measured, v_rule.quantity))
    end,
    v_rule.credits_min,
    1
  );
  lowest := credits;
  if unmeasured is not null then
    lowest := greatest(v_rule.credits, v_rule.credits_min, 1);
    if p_measured is null then
      credits := coalesce(v_rule.credits_min, credits);
    end if;
  end if;
end $$;

revoke all on function unstuck_private.order_price from public, anon, authenticated, service_role;
