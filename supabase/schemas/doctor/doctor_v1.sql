create or replace function unstuck.doctor_v1() returns jsonb
language plpgsql
stable
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
begin
  return jsonb_build_object(
    'identity', (
      select to_jsonb(d)
      from unstuck_private.deployment d
    ),
    'storage', unstuck_private.storage_state(),
    'admins', unstuck_private.admins_count(),
    'migrations', (
      select jsonb_agg(m.name order by m.number)
      from unstuck_private.migrations m
    ),
    'events', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'function', e.function,
        'event', e.event,
        'seconds', extract(epoch from clock_timestamp() - e.at)
      )), '[]')
      from unstuck_private.events_seen e
    ),
    'health', (
      select to_jsonb(h)
      from unstuck.health_v2() h
    ),
    'published', exists (
      select from pg_catalog.pg_publication_tables t
      where t.pubname = 'supabase_realtime'
        and t.schemaname = 'unstuck'
        and t.tablename = 'jobs'
    ),
    'circuits', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'subject', o.subject,
        'reason', o.reason
      )), '[]')
      from (
        select p.provider as subject, p.circuit_reason as reason
        from unstuck.providers p
        where p.circuit_open_until is not null
        union all
        select t.tool, t.circuit_reason
        from unstuck.tools t
        where t.circuit_open_until is not null
      ) o
    ),
    'tools', (
      select coalesce(jsonb_agg(t.tool order by t.tool), '[]')
      from unstuck.tools t
      join unstuck.providers p using (provider)
      where t.enabled and p.enabled
    ),
    'packs', (
      select count(*)
      from unstuck.credit_packs c
      where c.enabled
    )
  );
end $$;

comment on function unstuck.doctor_v1 is $c$
Caller: `cargo xtask doctor`, with the service key.

Effect: none; what a deployment's database can tell of what it lacks: storage, admins, migrations,
the newest events, the last sweep, open circuits, what is sold.

Refuses: nothing.

Replay: reads again.
$c$;

revoke all on function unstuck.doctor_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.doctor_v1 to service_role;
