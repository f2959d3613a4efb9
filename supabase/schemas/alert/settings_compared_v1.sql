create or replace function unstuck.settings_compared_v1(p_differing text[]) returns void
language sql
security definer
set search_path = ''
as
$$
  select unstuck_private.refuse_other_deployment();

  delete from unstuck_private.settings_differing d
  where d.name <> all (p_differing);

  insert into unstuck_private.settings_differing (name)
  select unnest(p_differing)
  on conflict do nothing
$$;

comment on function unstuck.settings_compared_v1 is $c$
Caller: the gateway, which compares the fingerprints of all functions' settings.

Effect: keeps the names of those with more than one value, for health and alerts.

Refuses: nothing.

Replay: keeps the same.
$c$;

revoke all on function unstuck.settings_compared_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.settings_compared_v1 to service_role;
