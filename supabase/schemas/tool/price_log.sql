-- Trigger that writes each change of a price to `admin_log`: the columns that the trigger names,
-- before and after. What a migration writes is not logged.
create or replace function unstuck_private.price_log() returns trigger
language plpgsql
set search_path = ''
as
$$
declare
  v_old jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) end;
  v_new jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) end;
begin
  -- The same sent a second time changes nothing.
  if current_setting('unstuck.actor', true) = 'migration' or v_old = v_new then
    return null;
  end if;
  perform unstuck_private.admin_log_write(
    'price_changed',
    coalesce(v_new, v_old) ->> 'tool',
    case when v_old is not null then jsonb_object_agg(c.name, v_old -> c.name) end,
    case when v_new is not null then jsonb_object_agg(c.name, v_new -> c.name) end
  )
  from unnest(tg_argv) as c (name);
  return null;
end $$;

create or replace trigger tools_price_log
after update on unstuck.tools
for each row
when (old.credit_cost <> new.credit_cost or old.priced_per <> new.priced_per)
execute function unstuck_private.price_log('credit_cost', 'priced_per');

create or replace trigger tool_prices_log
after insert or update or delete on unstuck.tool_prices
for each row
execute function unstuck_private.price_log(
  'position', 'matches', 'credits', 'priced_per', 'quantity', 'note', 'credits_min');

revoke all on function unstuck_private.price_log from public, anon, authenticated, service_role;
