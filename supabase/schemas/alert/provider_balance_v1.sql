create or replace function unstuck.provider_balance_v1(p_provider text, p_amounts jsonb)
returns void
language sql
security definer
set search_path = ''
as
$$
  select unstuck_private.refuse_other_deployment();

  insert into unstuck_private.provider_balances as b (provider, amounts, told_at)
  select p.provider, p_amounts, clock_timestamp()
  from unstuck.providers p
  where p.provider = p_provider
    and jsonb_typeof(p_amounts) = 'object'
  on conflict (provider) do update
  set amounts = excluded.amounts,
    told_at = excluded.told_at
$$;

comment on function unstuck.provider_balance_v1 is $c$
Caller: an edge healer that asked the provider, where sweep_end_v1 said ask_balances.

Effect: keeps what is left on our account, an amount by unit, for the admin page and metrics.

Refuses: nothing; an unknown provider changes nothing.

Replay: keeps the same.
$c$;

revoke all on function unstuck.provider_balance_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.provider_balance_v1 to service_role;
