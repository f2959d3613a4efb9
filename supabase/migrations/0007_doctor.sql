-- 0007_doctor.sql
-- Made by `cargo xtask migration doctor`
-- from supabase/schemas, in the order in which things can be created. Do not edit it: change the
-- sources. It is applied once, whole or not at all.

begin;

do $applied$
begin
  if exists (select from unstuck_private.migrations where number = 7) then
    raise exception 'unstuck migration 0007 is applied already';
  end if;
  if not exists (select from unstuck_private.migrations where number = 6) then
    raise exception 'unstuck migration 0006 must be applied before 0007';
  end if;
end
$applied$;

-- A function may name an object that is created below it.
set local check_function_bodies = off;
-- While this waits for a table, everybody else waits behind it: fail and retry instead.
set local lock_timeout = '5s';

--: source doctor/events_seen.sql 94b829a702c7
-- When the platform last called each function: a cron that fired, a message that its queue brought.
-- One row for each function and event, so it grows with the functions alone.
create table unstuck_private.events_seen (
  function text not null,
  event text not null
    check (event in ('cron', 'queue')),
  at timestamptz not null default clock_timestamp(),
  primary key (function, event)
);

alter table unstuck_private.events_seen enable row level security;
revoke all on unstuck_private.events_seen from public, anon, authenticated, service_role;

--: source doctor/admins_count.sql fdfb46956fcf
-- How many admins there are; null where only the host's own function knows.
create or replace function unstuck_private.admins_count() returns bigint
language plpgsql
stable
set search_path = ''
as
$$
declare
  v_count bigint;
begin
  if unstuck_private.host_has_role('00000000-0000-0000-0000-000000000000', 'admin') is null then
    select count(*)
    into v_count
    from unstuck.user_roles r
    where r.role = 'admin';
    return v_count;
  end if;
  execute 'select count(*) from public.user_roles r where r.role::text = ''admin'''
  into v_count;
  return v_count;
exception when syntax_error_or_access_rule_violation then
  return null;
end $$;

revoke all on function unstuck_private.admins_count from public, anon, authenticated, service_role;

--: source doctor/doctor_v1.sql 24655978949b
create or replace function unstuck.doctor_v1() returns jsonb
language plpgsql
stable
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
declare
  v_identity jsonb;
begin
  if to_regclass('unstuck_private.deployment') is not null then
    execute 'select to_jsonb(d) from unstuck_private.deployment d limit 1'
    into v_identity;
  end if;
  return jsonb_build_object(
    'identity', v_identity,
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
      from unstuck.health_v1() h
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

--: source doctor/event_seen_v1.sql fe9b4b9b7744
create or replace function unstuck.event_seen_v1(p_function text, p_event text)
returns void
language sql
security definer
set search_path = ''
set statement_timeout = '5s'
as
$$
  insert into unstuck_private.events_seen as e (function, event)
  values (p_function, p_event)
  on conflict (function, event) do update
  set at = clock_timestamp()
$$;

comment on function unstuck.event_seen_v1 is $c$
Caller: every function, when its cron fires, and when its queue brings a probe of the doctor.

Effect: the time of the newest such event is now.

Refuses: an event that is none of `events_seen`.

Replay: the same once more.
$c$;

revoke all on function unstuck.event_seen_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.event_seen_v1 to service_role;

--: source doctor/storage_state.sql 9ac3e7c2483c
-- The buckets and the policy of uploads as they are, and the buckets that ours should be; null
-- where there is no storage.
create or replace function unstuck_private.storage_state() returns jsonb
language plpgsql
stable
set search_path = ''
as
$$
declare
  v_state jsonb;
begin
  if to_regclass('storage.buckets') is null or to_regclass('storage.objects') is null then
    return null;
  end if;
  execute $q$
    select jsonb_build_object('buckets', coalesce(jsonb_agg(jsonb_build_object(
      'id', b.id,
      'public', b.public,
      'bytes_max', b.file_size_limit,
      'types', b.allowed_mime_types
    ) order by b.id), '[]'))
    from storage.buckets b
  $q$
  into v_state;
  return v_state || jsonb_build_object(
    'row_security', (
      select c.relrowsecurity
      from pg_catalog.pg_class c
      where c.oid = 'storage.objects'::regclass
    ),
    'upload_policy', (
      select p.with_check
      from pg_catalog.pg_policies p
      where p.schemaname = 'storage'
        and p.tablename = 'objects'
        and p.policyname = 'unstuck uploads insert'
        and p.cmd = 'INSERT'
        and p.permissive = 'PERMISSIVE'
    )
  );
exception when insufficient_privilege then
  return null;
end $$;

revoke all on function unstuck_private.storage_state from public, anon, authenticated, service_role;

--: history
insert into unstuck_private.migrations (number, name, hash)
values (
  7,
  'doctor',
  '64dab12afc795450fa5c2e9e033219c771cf724725e8b089effb5be49d961ac9'
);

notify pgrst, 'reload schema';

commit;

-- pg_cron overlooks a schedule among so many changes: change it once more, alone.
do $scheduled$
declare
  v_job bigint;
begin
  select j.jobid
  into v_job
  from cron.job j
  where j.command = 'select unstuck.cleanup_all_stale_ai_jobs()';
  if found then
    perform pg_sleep(2.5);
    perform cron.alter_job(v_job, schedule => '* * * * *');
  end if;
exception when undefined_table or undefined_function or insufficient_privilege then
  null;
end $scheduled$;
