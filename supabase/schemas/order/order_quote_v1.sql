create or replace function unstuck.order_quote_v1(
  p_tool text,
  p_input jsonb,
  p_steps int,
  p_user_id uuid default null,
  p_measured jsonb default null
)
returns table (
  credits bigint,
  balance bigint,
  enough boolean,
  eta_seconds int,
  unmeasured text,
  lowest bigint,
  waits boolean
)
language plpgsql
stable
security definer
set search_path = ''
set statement_timeout = '10s'
-- However few rows the statistics know, they are read by their indexes.
set enable_seqscan = off
set jit = off
as
$$
declare
  v_tool unstuck.tools;
  v_unlimited boolean;
begin
  select t.*
  into v_tool
  from unstuck.tools t
  where t.tool = p_tool;
  if not found or p_steps is null or p_steps not between 1 and 20 then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  if not v_tool.enabled then
    perform unstuck_private.refuse(503, 'tool_disabled');
  end if;
  select p.credits, p.unmeasured, p.lowest
  into credits, unmeasured, lowest
  from unstuck_private.order_price(v_tool, p_input, p_steps, coalesce(p_measured, '{}')) p;
  eta_seconds := unstuck_private.seconds_until_start(v_tool);
  waits := p_user_id is not null and unstuck_private.credits_wait(p_user_id);
  if p_user_id is not null then
    credits := unstuck_private.wallet_price(p_user_id, p_tool, p_input, credits);
    lowest := unstuck_private.wallet_price(p_user_id, p_tool, p_input, lowest);
    select w.balance, w.unlimited
    into balance, v_unlimited
    from unstuck_private.wallet_lock(p_user_id, p_tool, null) w;
    balance := coalesce(balance, 0);
    if v_unlimited then
      credits := 0;
      lowest := 0;
    end if;
    enough := (balance >= credits or v_unlimited is true)
      and unstuck_private.debt_open(p_user_id) = 0;
  end if;
  return next;
end $$;

comment on function unstuck.order_quote_v1 is $c$
Caller: the function that creates the tool's jobs, for its quote; p_user_id is the verified user, or
null for nobody: then balance and enough are null, and an app's own wallet is not asked.

Effect: none; what `job_enqueue_v2` would charge for this order now, and in how many seconds its job
would start. unmeasured: the price is by this unit of the order's files, which p_measured does not
say, and is the largest; lowest: that of the smallest files. enough: the order would be taken, which
none is while a debt is open. waits: credits wait for the user, which `user_heal_v1` gives; the
balance is without them.

Refuses: bad_request, tool_disabled; what the app's wallet refuses.

Replay: reads again.
$c$;

revoke all on function unstuck.order_quote_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.order_quote_v1 to service_role;
