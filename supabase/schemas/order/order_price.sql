-- What an order of this tool with this many steps costs, in credits.
create or replace function unstuck_private.order_price(p_tool unstuck.tools, p_steps int)
returns bigint
language sql
immutable
as
$$
  select p_tool.credit_cost * case p_tool.priced_per when 'step' then p_steps else 1 end
$$;

revoke all on function unstuck_private.order_price from public, anon, authenticated, service_role;
