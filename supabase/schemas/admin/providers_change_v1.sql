create or replace function unstuck.providers_change_v1(
  p_actor uuid,
  p_change jsonb default null,
  p_reason text default null
)
returns table (provider text, settings jsonb)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_old unstuck.providers;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, p_reason);
  if p_change is not null then
    select *
    into v_old
    from unstuck.providers p
    where p.provider = p_change ->> 'provider'
    for no key update;
    if not found then
      perform unstuck_private.refuse(404, 'not_found');
    end if;
    update unstuck.providers p
    set enabled = coalesce((p_change ->> 'enabled')::boolean, p.enabled),
      max_concurrent = coalesce((p_change ->> 'maxConcurrent')::int, p.max_concurrent),
      balance_least = coalesce(nullif(p_change -> 'balanceLeast', 'null'), p.balance_least)
    where p.provider = v_old.provider;
    if (p_change ->> 'closeCircuit')::boolean and v_old.circuit_open_until is not null then
      update unstuck.providers p
      set circuit_open_until = null
      where p.provider = v_old.provider;
      perform unstuck_private.admin_log_write(
        'circuit_closed',
        v_old.provider,
        jsonb_build_object('reason', v_old.circuit_reason),
        null
      );
    end if;
  end if;
  return query
  select p.provider, unstuck_private.provider_settings(p)
  from unstuck.providers p
  order by p.provider;
exception when check_violation or numeric_value_out_of_range or invalid_text_representation then
  perform unstuck_private.refuse(400, 'bad_request');
end $$;

comment on function unstuck.providers_change_v1 is $c$
Caller: admin-settings. The role of p_actor is read in the same transaction.

Effect: changes the settings of a provider that p_change names beside `provider` (enabled,
maxConcurrent, balanceLeast; closeCircuit: true), and writes what changed to admin_log. What works
at the provider goes on. Returns all providers as they now are; without p_change it only reads.

Refuses: forbidden, not_found, bad_request (a value that the table refuses).

Replay: changes nothing.
$c$;

revoke all on function unstuck.providers_change_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.providers_change_v1 to service_role;
