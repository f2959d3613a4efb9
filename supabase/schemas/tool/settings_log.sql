-- Trigger that writes each change of a setting of a tool or a provider to `admin_log`. Its
-- arguments are the act, the key column and the columns to watch; it logs those that have changed,
-- before and after. What a migration writes is not logged.
create or replace function unstuck_private.settings_log() returns trigger
language plpgsql
set search_path = ''
as
$$
declare
  v_old jsonb := to_jsonb(old);
  v_new jsonb := to_jsonb(new);
  v_from jsonb;
  v_to jsonb;
begin
  if current_setting('unstuck.actor', true) = 'migration' then
    return null;
  end if;
  select jsonb_object_agg(c.name, v_old -> c.name), jsonb_object_agg(c.name, v_new -> c.name)
  into v_from, v_to
  from unnest(tg_argv[2:]) as c (name)
  where v_old -> c.name is distinct from v_new -> c.name;
  if v_from is not null then
    perform unstuck_private.admin_log_write(tg_argv[0], v_new ->> tg_argv[1], v_from, v_to);
  end if;
  return null;
end $$;

create or replace trigger tools_settings_log
after update of
  enabled, run_timeout, queue_ttl, attempt_max, user_cancel_running, provider_cost
on unstuck.tools
for each row
execute function unstuck_private.settings_log(
  'tool_changed', 'tool',
  'enabled', 'run_timeout', 'queue_ttl', 'attempt_max', 'user_cancel_running', 'provider_cost');

create or replace trigger providers_settings_log
after update of enabled, max_concurrent, balance_least on unstuck.providers
for each row
execute function unstuck_private.settings_log(
  'provider_changed', 'provider', 'enabled', 'max_concurrent', 'balance_least');

revoke all on function unstuck_private.settings_log from public, anon, authenticated, service_role;
