-- 0002_results_and_storage.sql
-- Made by `cargo xtask migration results_and_storage`
-- from supabase/schemas, in the order in which things can be created. Do not edit it: change the
-- sources. It is applied once, whole or not at all.

begin;

do $applied$
begin
  if exists (select from unstuck_private.migrations where number = 2) then
    raise exception 'unstuck migration 0002 is applied already';
  end if;
  if not exists (select from unstuck_private.migrations where number = 1) then
    raise exception 'unstuck migration 0001 must be applied before 0002';
  end if;
end
$applied$;

-- A function may name an object that is created below it.
set local check_function_bodies = off;
-- While this waits for a table, everybody else waits behind it: fail and retry instead.
set local lock_timeout = '5s';

--: recreated below, or removed
drop function unstuck_private.steps_reserve;
drop function unstuck.steps_due_v1;
drop function unstuck.step_done_v1;

--: source step/step_done_v1.sql 5933293f9e50
create or replace function unstuck.step_done_v1(
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_task_id text,
  p_output jsonb
)
returns table (outcome text, run bigint, result jsonb)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
declare
  v_step unstuck.job_steps;
  v_expires timestamptz;
  v_older boolean;
  v_same boolean;
begin
  perform unstuck_private.act_as('worker');
  select j.expires_at
  into v_expires
  from unstuck.jobs j
  where j.id = p_job_id
  for update;
  select s.*
  into v_step
  from unstuck.job_steps s
  where s.job_id = p_job_id
    and s.step = p_step
  for update;
  if not found
    or p_run > v_step.run
    or v_step.status = 'blocked'
    or unstuck_private.is_task_of_other_step(v_step, p_task_id)
  then
    return query
    select 'stale', p_run, null::jsonb;
    return;
  end if;
  if unstuck_private.is_final(v_step.status) then
    if v_step.status <> 'completed' then
      perform unstuck_private.step_record_late_success(v_step, p_run, p_task_id, p_output);
    end if;
    return query
    select 'late', p_run, null::jsonb;
    return;
  end if;
  v_older := p_run < v_step.run;
  v_same := coalesce(v_step.provider_task_id, p_task_id)
    is not distinct from coalesce(p_task_id, v_step.provider_task_id);
  -- Stale: no worker has claimed the step yet; or its run has another task; or another worker
  -- copies the result; or the result of another task was taken.
  if v_step.run = 0
    or (not v_older and not v_same)
    or (
      v_step.provider_done_at is not null
      and (v_step.lease_until > clock_timestamp() or not v_same)
    )
  then
    return query
    select 'stale', v_step.run, null::jsonb;
    return;
  end if;
  p_run := unstuck_private.step_take_success(v_step, v_older, p_task_id, p_output, v_expires);
  perform unstuck_private.job_sync_from_steps(array[p_job_id]);
  return query
  select 'copy', p_run, v_step.input -> 'result';
end $$;

comment on function unstuck.step_done_v1 is $c$
Caller: a worker or a healer that learned from the provider that the task finished.

Effect: frees the slot and gives the caller the lease under which it copies the result. outcome:
copy (run: the run to go on with; result: which file is the result, as the stored request says) |
late (the step is final: the success is recorded, and nothing else changes) | stale (not this run's
task, or another worker copies the result). A task of another step changes nothing.

Refuses: nothing.

Replay: stale while the lease lasts; afterwards copy, for the next worker.
$c$;

revoke all on function unstuck.step_done_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_done_v1 to service_role;

--: source step/steps_due_v1.sql 921e528fd7f5
create or replace function unstuck.steps_due_v1(
  p_provider text,
  p_limit int,
  p_all boolean default false
)
returns table (
  job_id uuid,
  step int,
  run bigint,
  tool text,
  user_id uuid,
  due text,
  task_id text,
  overdue boolean,
  output jsonb,
  result jsonb,
  done_seconds int,
  sent_since timestamptz,
  sent_seconds int,
  open int
)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_provider unstuck.providers;
  v_open int;
  v_keys jsonb;
begin
  select *
  into v_provider
  from unstuck.providers
  where provider = p_provider;
  if not found or v_provider.synchronous then
    return;
  end if;
  select count(*)
  into v_open
  from unstuck.job_steps s
  where s.provider = p_provider
    and unstuck_private.holds_slot(s)
    and s.provider_task_id is not null;
  v_keys := unstuck_private.steps_due_at_provider(v_provider, v_now, p_all, p_limit);
  return query
  select r.job_id, r.step, r.run, j.tool, j.user_id, r.due, coalesce(r.task_id, w.task_id),
    r.overdue, r.output, r.result, unstuck_private.seconds_between(r.done_at, v_now),
    -- The provider's clock may differ from ours.
    r.sent_at - interval '2 minutes',
    unstuck_private.seconds_between(r.sent_at, v_now),
    v_open
  from unstuck_private.steps_reserve(v_now, v_keys) r
  join unstuck.jobs j on j.id = r.job_id
  -- The newest webhook of this run, unless it names the task of another step.
  left join lateral (
    select i.task_id
    from unstuck.webhook_inbox i
    where i.job_id = r.job_id
      and i.step = r.step
      and i.run = r.run
      and not exists (
        select
        from unstuck.job_steps o
        where o.provider = p_provider
          and o.provider_task_id = i.task_id
          and (o.job_id, o.step) <> (r.job_id, r.step)
      )
    order by i.id desc
    limit 1
  ) w on true;

  v_keys := unstuck_private.steps_with_cancel_debt(p_provider, v_now, p_limit);
  return query
  select o.job_id, o.step, d.run, j.tool, j.user_id, o.due, d.task_id,
    false, null::jsonb, null::jsonb, null::int, null::timestamptz, null::int, v_open
  from unstuck_private.steps_reserve(v_now, v_keys) o
  join unstuck.jobs j on j.id = o.job_id
  cross join lateral unstuck_private.cancel_debts(o.provider_cancel_due) d;
end $$;

comment on function unstuck.steps_due_v1 is $c$
Caller: a healer, for one asynchronous provider; with p_all the checker, for which every running
step is due.

Effect: reserves up to p_limit steps to query about, and up to p_limit cancels to send, for the
caller. due: query (unchecked for 30 s, or past the deadline) | inbox (sent without an answer) |
copy (the provider is done, the result is not stored) | cancel (owed). The steps that were not
queried for longest come first. result: which file is the result, as the stored request says.
open: how many tasks the provider works on in all.

Refuses: nothing; no row for a synchronous provider. What another transaction has locked, or a step
that cannot be reserved, is left to the next call.

Replay: a step that is reserved does not come again for some seconds.
$c$;

revoke all on function unstuck.steps_due_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.steps_due_v1 to service_role;

--: source step/steps_reserve.sql a65fb0fdd7b6
-- Reserves locked steps for the caller, which is about to query the provider: p_keys names each
-- with what is due. Returns those that could be reserved. A step whose row cannot be written (a
-- trigger refuses it) is left out.
create or replace function unstuck_private.steps_reserve(p_now timestamptz, p_keys jsonb)
returns table (
  job_id uuid,
  step int,
  run bigint,
  due text,
  task_id text,
  overdue boolean,
  output jsonb,
  result jsonb,
  done_at timestamptz,
  sent_at timestamptz,
  provider_cancel_due jsonb
)
language plpgsql
set search_path = ''
as
$$
#variable_conflict use_column
declare
  v_key jsonb;
begin
  begin
    update unstuck.job_steps s
    set checked_at = p_now,
      lease_until = case when k.due = 'copy' then p_now + i.lease else s.lease_until end
    from jsonb_to_recordset(p_keys) as k (job_id uuid, step int, due text)
    cross join unstuck_private.intervals() i
    where s.job_id = k.job_id
      and s.step = k.step;
  exception when others then
    if jsonb_array_length(p_keys) > 1 then
      for v_key in
        select k.value
        from jsonb_array_elements(p_keys) k
      loop
        return query
        select *
        from unstuck_private.steps_reserve(p_now, jsonb_build_array(v_key));
      end loop;
    end if;
    return;
  end;
  return query
  select s.job_id, s.step, s.run, k.due, s.provider_task_id, k.overdue, s.output,
    s.input -> 'result', s.provider_done_at, s.sent_at, s.provider_cancel_due
  from rows from (
    jsonb_to_recordset(p_keys) as (job_id uuid, step int, due text, overdue boolean)
  ) with ordinality as k (job_id, step, due, overdue, nth)
  join unstuck.job_steps s using (job_id, step)
  order by k.nth;
end $$;

revoke all on function unstuck_private.steps_reserve from public, anon, authenticated, service_role;

--: source platform/storage.sql a54eae6f22bd
-- Files: the two public buckets, and the one policy that lets users upload below their own id. A
-- public bucket opens reading only, and results are written with the service key, so nothing more
-- is granted. A bucket that exists keeps its settings. Where the role that migrates lacks a right,
-- the migration goes on, and a warning names the statements that are left to send.
do $do$
declare
  v_uploads text := 'uploads';
  v_results text := 'results';
  v_uploads_limit bigint := 50 * 1024 * 1024;
  v_results_limit bigint := 512 * 1024 * 1024;
  v_types text[] := array[
    -- `image/jpg` is no registered type, but what some phones send.
    'image/png', 'image/jpeg', 'image/jpg', 'image/webp', 'image/gif', 'image/avif',
    'video/mp4', 'video/webm', 'video/quicktime'
  ];
  v_statement text;
  v_bucket record;
begin
  if not exists (
    select from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'storage' and c.relname in ('buckets', 'objects')
    having count(*) = 2
  ) then
    raise notice 'there is no schema storage: buckets and their policy are not made';
    return;
  end if;
  if to_regclass('unstuck_private.deployment') is not null then
    select coalesce(max(uploads_bucket), v_uploads), coalesce(max(results_bucket), v_results)
    into v_uploads, v_results
    from unstuck_private.deployment;
  end if;

  v_statement := format(
    'insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types) '
      || 'values (%1$L, %1$L, true, %2$s, %3$L), (%4$L, %4$L, true, %5$s, %6$L) '
      || 'on conflict do nothing',
    v_uploads, v_uploads_limit, v_types,
    v_results, v_results_limit, v_types || array['application/json']
  );
  begin
    execute v_statement;
    for v_bucket in
      select id, public
      from storage.buckets
      where id in (v_uploads, v_results) and public is not true
    loop
      raise warning 'the bucket % is there already and is not public', v_bucket.id
      using hint = format(
        'Unstuck needs it public: update storage.buckets set public = true where id = %L;',
        v_bucket.id
      );
    end loop;
  exception when syntax_error_or_access_rule_violation then
    raise warning 'Unstuck has no buckets yet: %', sqlerrm
    using hint = 'As who owns storage.buckets: ' || v_statement || ';';
  end;

  v_statement := format(
    'create policy "unstuck uploads insert" on storage.objects for insert to authenticated '
      || 'with check (bucket_id = %L and (storage.foldername(name))[1] = auth.uid()::text)',
    v_uploads
  );
  begin
    if not exists (
      select from pg_catalog.pg_policy
      where polname = 'unstuck uploads insert' and polrelid = 'storage.objects'::regclass
    ) then
      execute v_statement;
    end if;
  exception when syntax_error_or_access_rule_violation then
    raise warning 'users cannot upload yet, the policy is missing: %', sqlerrm
    using hint = 'As who owns storage.objects: ' || v_statement || ';';
  end;
end $do$;

--: history
insert into unstuck_private.migrations (number, name, hash)
values (
  2,
  'results_and_storage',
  'ce4c20df68741b9a69c3040e35eb62193b295086466c7521b9f338194b7aa5b7'
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
