-- Changes the rule of a tool's prices at one position, adds it where there is none, or deletes it
-- with `remove`; to delete a rule that does not exist is refused with not_found. A key that
-- `p_change` does not have keeps its value, except that a rule set to `job` or `step` loses its
-- quantity and its least price.
create or replace function unstuck_private.price_rule_change(p_change jsonb) returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_tool text := p_change ->> 'tool';
  v_position int := p_change ->> 'position';
begin
  if (p_change ->> 'remove')::boolean then
    delete from unstuck.tool_prices p
    where p.tool = v_tool and p.position = v_position;
    if not found then
      perform unstuck_private.refuse(404, 'not_found');
    end if;
    return;
  end if;
  update unstuck.tool_prices p
  set matches = coalesce(p_change -> 'matches', p.matches),
    credits = coalesce((p_change ->> 'credits')::bigint, p.credits),
    priced_per = coalesce(p_change ->> 'pricedPer', p.priced_per),
    quantity = case
      when p_change ->> 'pricedPer' in ('job', 'step') then (p_change ->> 'quantity')::numeric
      else coalesce((p_change ->> 'quantity')::numeric, p.quantity)
    end,
    credits_min = case
      when p_change ->> 'pricedPer' in ('job', 'step') then (p_change ->> 'creditsMin')::bigint
      else coalesce((p_change ->> 'creditsMin')::bigint, p.credits_min)
    end,
    note = coalesce(p_change ->> 'note', p.note)
  where p.tool = v_tool and p.position = v_position;
  if not found then
    insert into unstuck.tool_prices (
      tool, position, matches, credits, priced_per, quantity, credits_min, note
    )
    values (
      v_tool, v_position,
      coalesce(p_change -> 'matches', '{}'),
      (p_change ->> 'credits')::bigint,
      coalesce(p_change ->> 'pricedPer', 'job'),
      (p_change ->> 'quantity')::numeric,
      (p_change ->> 'creditsMin')::bigint,
      p_change ->> 'note'
    );
  end if;
end $$;

revoke all on function unstuck_private.price_rule_change
from public, anon, authenticated, service_role;
