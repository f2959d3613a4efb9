-- Removes Unstuck from this database: the schemas `unstuck` and `unstuck_private` with everything
-- in them, and what exceptions.txt calls `removed`. The app's own objects stay, and so do the two
-- buckets with their files. Send this file as one query, as the role that installed.
--
-- It refuses, changes nothing and says in its hint what to do next, while
--   * PostgREST exposes `unstuck`: without an exposed schema the app's whole API stops,
--   * a job is live, a refund or a debt is open, or a balance of the built-in wallet is not 0,
--   * an object of the app depends on one of ours, or lies in our schemas.

begin;
set local search_path = '';
set local lock_timeout = '10s';

-- Refuse while PostgREST exposes the schema ---------------------------------------------------
do $uninstall$
declare
  v_setting record;
  v_settings int := 0;
  v_statements text := '';
begin
  for v_setting in
    select
      s.setrole,
      s.setdatabase,
      (
        select string_agg(trim(both from name), ', ')
        from unnest(string_to_array(split_part(entry, '=', 2), ',')) as name
        where trim(both ' "' from name) <> 'unstuck'
      ) as others,
      exists (
        select
        from unnest(string_to_array(split_part(entry, '=', 2), ',')) as name
        where trim(both ' "' from name) = 'unstuck'
      ) as exposed
    from pg_catalog.pg_db_role_setting s
    cross join unnest(s.setconfig) as entry
    where entry like 'pgrst.db_schemas=%'
      and s.setdatabase in (
        0,
        (
          select oid
          from pg_catalog.pg_database
          where datname = current_database()
        )
      )
  loop
    v_settings := v_settings + 1;
    if v_setting.exposed then
      v_statements := v_statements || format(
        'alter %s%s set pgrst.db_schemas = %L; ',
        case v_setting.setrole
          when 0 then format('database %I', current_database())
          else 'role ' || v_setting.setrole::regrole::text
        end,
        case
          when v_setting.setrole <> 0 and v_setting.setdatabase <> 0
            then format(' in database %I', current_database())
        end,
        coalesce(v_setting.others, 'public')
      );
    end if;
  end loop;
  if v_statements <> '' then
    raise exception 'PostgREST still exposes the schema unstuck: its API would stop without it'
    using hint = v_statements || $hint$notify pgrst, 'reload config';$hint$;
  end if;
  if v_settings = 0
    and coalesce(current_setting('unstuck.not_exposed', true), '') <> 'yes'
    and exists (
      select
      from pg_catalog.pg_stat_activity
      where usename = 'authenticator'
        and datname = current_database()
    )
  then
    raise exception 'PostgREST is connected, and it cannot be seen here whether it exposes unstuck'
    using hint = 'Take unstuck from the exposed schemas (dashboard: Settings, Data API), then say '
      || $hint$set unstuck.not_exposed = 'yes'; in this session and run this again.$hint$;
  end if;
end $uninstall$;

-- Refuse while jobs, refunds, debts or credits are open ---------------------------------------
do $uninstall$
declare
  v_count bigint;
  v_sum numeric;
  v_some text;
begin
  if to_regclass('unstuck.jobs') is not null then
    -- From here on no order and no healer changes a job.
    lock table unstuck.jobs in access exclusive mode;
    select count(*), string_agg(id::text, ', ') filter (where nth <= 3)
    into v_count, v_some
    from (
      select id, row_number() over (order by created_at) as nth
      from unstuck.jobs
      where completed_at is null
    ) as live;
    if v_count > 0 then
      raise exception '% jobs live: %', v_count, v_some
      using hint = 'Take no new ones: update unstuck.tools set enabled = false; then wait, or '
        || 'cancel each as an admin: select j.id, c.* from unstuck.jobs j '
        || 'join unstuck.tools t using (tool) cross join lateral unstuck.job_cancel_admin_v1('
        || $hint$'<id of an admin>', t.table_name, j.id, 'moving out') c $hint$
        || 'where j.completed_at is null;';
    end if;
  end if;
  if to_regclass('unstuck.refunds_owed') is not null then
    select count(*), sum(amount)
    into v_count, v_sum
    from unstuck.refunds_owed;
    if v_count > 0 then
      raise exception '% refunds are owed, % credits in all', v_count, v_sum
      using hint = 'They are tried again by every pass of the healer: select * from '
        || 'unstuck.refunds_owed; says why they fail. Pay them by hand and delete the rows.';
    end if;
  end if;
  if to_regclass('unstuck.credit_debts') is not null then
    select count(*), sum(amount - settled)
    into v_count, v_sum
    from unstuck.credit_debts
    where settled < amount;
    if v_count > 0 then
      raise exception '% debts are open, % credits in all', v_count, v_sum
      using hint = 'Take them over: select * from unstuck.credit_debts where settled < amount; '
        || 'then update unstuck.credit_debts set settled = amount;';
    end if;
  end if;
  if to_regclass('unstuck.credit_accounts') is not null then
    select count(*), sum(balance)
    into v_count, v_sum
    from unstuck.credit_accounts
    where balance <> 0;
    if v_count > 0 then
      raise exception '% users have credits here, % in all', v_count, v_sum
      using hint = 'Take them over: select user_id, balance from unstuck.credit_accounts where '
        || 'balance <> 0; then insert into unstuck.credit_entries (user_id, kind, amount, reason) '
        || $hint$select user_id, 'adjustment', -balance, 'moved out' $hint$
        || 'from unstuck.credit_accounts where balance <> 0;';
    end if;
  end if;
end $uninstall$;

-- Refuse while objects of the app depend on ours ----------------------------------------------
do $uninstall$
declare
  v_names text;
begin
  with
  schema_of_ours as (
    select oid, nspowner
    from pg_catalog.pg_namespace
    where nspname in ('unstuck', 'unstuck_private')
  ),
  ours as (
    select classoid as class, objoid as id
    from pg_catalog.pg_description
    where objsubid = 0
      and description like 'Unstuck front of %'
    union
    select 'pg_catalog.pg_namespace'::regclass, oid
    from schema_of_ours
    union
    select tableoid, oid
    from pg_catalog.pg_class
    where relnamespace in (select oid from schema_of_ours)
    union
    select tableoid, oid
    from pg_catalog.pg_proc
    where pronamespace in (select oid from schema_of_ours)
    union
    select tableoid, oid
    from pg_catalog.pg_type
    where typnamespace in (select oid from schema_of_ours)
    union
    select tableoid, oid
    from pg_catalog.pg_default_acl
    where defaclnamespace in (select oid from schema_of_ours)
    union
    select tableoid, oid
    from pg_catalog.pg_policy
    where polname = 'unstuck uploads insert'
      and polrelid = to_regclass('storage.objects')
  ),
  -- The parts of tables, views, types and domains.
  part as (
    select
      tableoid as class,
      oid as id,
      'pg_catalog.pg_class'::regclass as of_class,
      adrelid as of_id
    from pg_catalog.pg_attrdef
    union all
    select tableoid, oid, 'pg_catalog.pg_class'::regclass, tgrelid
    from pg_catalog.pg_trigger
    union all
    select tableoid, oid, 'pg_catalog.pg_class'::regclass, ev_class
    from pg_catalog.pg_rewrite
    union all
    select tableoid, oid, 'pg_catalog.pg_class'::regclass, polrelid
    from pg_catalog.pg_policy
    union all
    select tableoid, oid, 'pg_catalog.pg_class'::regclass, conrelid
    from pg_catalog.pg_constraint
    where conrelid <> 0
    union all
    select tableoid, oid, 'pg_catalog.pg_type'::regclass, contypid
    from pg_catalog.pg_constraint
    where contypid <> 0
    union all
    select tableoid, oid, 'pg_catalog.pg_class'::regclass, typrelid
    from pg_catalog.pg_type
    where typrelid <> 0
    union all
    select tableoid, oid, 'pg_catalog.pg_type'::regclass, typelem
    from pg_catalog.pg_type
    where typelem <> 0
    union all
    select tableoid, oid, 'pg_catalog.pg_class'::regclass, stxrelid
    from pg_catalog.pg_statistic_ext
    -- Row types have array types of their own.
    union all
    select a.tableoid, a.oid, 'pg_catalog.pg_class'::regclass, r.typrelid
    from pg_catalog.pg_type a
    join pg_catalog.pg_type r on r.oid = a.typelem
    where r.typrelid <> 0
  ),
  whole as (
    select class, id
    from ours
    union
    select p.class, p.id
    from part p
    join ours o on o.class = p.of_class and o.id = p.of_id
  )
  select string_agg(distinct pg_describe_object(d.classid, d.objid, d.objsubid), '; ')
  into v_names
  from pg_catalog.pg_depend d
  join whole w on w.class = d.refclassid and w.id = d.refobjid
  left join whole own on own.class = d.classid and own.id = d.objid
  where own.id is null
    and d.deptype <> 'i'
    -- A publication only loses the table.
    and d.classid not in (
      'pg_catalog.pg_publication_rel'::regclass,
      'pg_catalog.pg_publication_namespace'::regclass
    );
  if v_names is not null then
    raise exception 'objects of the app depend on Unstuck: %', v_names
    using hint = 'Drop or change them first; tables that are attached are detached first.';
  end if;

  select string_agg(pg_describe_object(found.class, found.id, 0), '; ')
  into v_names
  from (
    select c.tableoid as class, c.oid as id
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('unstuck', 'unstuck_private')
      and c.relowner <> n.nspowner
    union all
    select p.tableoid, p.oid
    from pg_catalog.pg_proc p
    join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname in ('unstuck', 'unstuck_private')
      and p.proowner <> n.nspowner
  ) as found;
  if v_names is not null then
    raise exception 'somebody else''s objects lie in our schemas: %', v_names
    using hint = 'Move them: alter … set schema public;';
  end if;
end $uninstall$;

-- Remove --------------------------------------------------------------------------------------
do $uninstall$
declare
  v_front record;
  v_job bigint;
  v_buckets text[] := array['uploads', 'results'];
begin
  if to_regnamespace('unstuck') is null and to_regnamespace('unstuck_private') is null then
    raise notice 'Unstuck is not installed in this database';
  end if;
  if to_regclass('unstuck_private.deployment') is not null then
    select array[uploads_bucket, results_bucket]
    into v_buckets
    from unstuck_private.deployment;
  end if;

  if to_regclass('cron.job') is not null then
    for v_job in
      select jobid
      from cron.job
      where jobname = 'unstuck-cleanup'
        and command like '%unstuck.cleanup_all_stale_ai_jobs%'
    loop
      perform cron.unschedule(v_job);
      perform set_config('unstuck.unscheduled', 'yes', false);
      begin
        delete from cron.job_run_details
        where jobid = v_job;
      exception when insufficient_privilege then
        raise notice 'What cron.job_run_details says of job % stays: %', v_job, sqlerrm;
      end;
    end loop;
  end if;

  if exists (
    select
    from pg_catalog.pg_policy
    where polname = 'unstuck uploads insert'
      and polrelid = to_regclass('storage.objects')
  ) then
    begin
      drop policy "unstuck uploads insert" on storage.objects;
    exception when insufficient_privilege then
      raise exception 'the policy "unstuck uploads insert" is not % to drop', current_user
      using hint = 'As who owns storage.objects: '
        || 'drop policy "unstuck uploads insert" on storage.objects; then run this again.';
    end;
  end if;

  -- Our fronts in public; their comments mark them.
  for v_front in
    select o.type, o.identity
    from pg_catalog.pg_description d
    cross join lateral pg_identify_object(d.classoid, d.objoid, 0) as o
    where d.objsubid = 0
      and d.description like 'Unstuck front of %'
      and o.schema = 'public'
    order by o.type = 'type', o.identity
  loop
    execute format('drop %s %s', v_front.type, v_front.identity);
  end loop;

  if v_buckets is not null then
    raise notice 'The buckets % and their files are the app''s and stay. SQL cannot delete files: '
      'empty and delete the buckets in the dashboard under Storage.',
      array_to_string(v_buckets, ' and ');
  end if;
end $uninstall$;

-- The blocks above made sure that this removes nothing else. The publication loses `unstuck.jobs`.
drop schema if exists unstuck, unstuck_private cascade;

notify pgrst, 'reload schema';
commit;

-- pg_cron may miss a change in so large a transaction and keep its schedule. A second, small change
-- makes it read its table again.
do $uninstall$
begin
  if current_setting('unstuck.unscheduled', true) = 'yes' then
    perform pg_sleep(2.5);
    perform cron.unschedule(cron.schedule('unstuck-gone', '0 0 1 1 *', 'select 1'));
    perform set_config('unstuck.unscheduled', '', false);
  end if;
end $uninstall$;
