create or replace function unstuck.deployment_alarm_v1() returns void
language sql
security definer
set search_path = ''
set statement_timeout = '5s'
as
$$
  insert into unstuck_private.deployment_alarms as a (id)
  select left(o.id, 200)
  from unstuck_private.other_deployment() as o (id)
  where o.id is not null
  on conflict (id) do update
  set
    last_at = clock_timestamp(),
    count = a.count + 1
$$;

comment on function unstuck.deployment_alarm_v1 is $c$
Caller: a Worker whose call was refused as wrong_deployment.

Effect: counts the refusals of its deployment in one row, which health shows for ten minutes. It is
the one RPC that writes for another deployment.

Refuses: nothing; where the Worker's deployment is the database's own, it writes nothing.

Replay: counts once more.
$c$;

revoke all on function unstuck.deployment_alarm_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.deployment_alarm_v1 to service_role;
