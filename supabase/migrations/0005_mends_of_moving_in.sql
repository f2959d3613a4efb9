-- 0005_mends_of_moving_in.sql
-- Made by `cargo xtask migration mends_of_moving_in`
-- from supabase/schemas, in the order in which things can be created. Do not edit it: change the
-- sources. It is applied once, whole or not at all.

begin;

do $applied$
begin
  if exists (select from unstuck_private.migrations where number = 5) then
    raise exception 'unstuck migration 0005 is applied already';
  end if;
  if not exists (select from unstuck_private.migrations where number = 4) then
    raise exception 'unstuck migration 0004 must be applied before 0005';
  end if;
end
$applied$;

-- A function may name an object that is created below it.
set local check_function_bodies = off;
-- While this waits for a table, everybody else waits behind it: fail and retry instead.
set local lock_timeout = '5s';

-- written by hand
-- Abandoned uploads are deleted where our migration made the bucket: nobody's files were there
-- before. A bucket is known as ours by its settings and by its age: no older than our first
-- migration. Where that cannot be told, they are kept.
insert into unstuck.retention (kind, keep)
values ('abandoned_uploads', null)
on conflict do nothing;

do $do$
begin
  if to_regclass('storage.buckets') is null then
    return;
  end if;
  update unstuck.retention r
  set keep = '7 days'
  where r.kind = 'abandoned_uploads'
    and r.keep is null
    and exists (
      select from storage.buckets b
      join unstuck_private.migrations m on m.number = 1
      where b.id = 'uploads'
        and b.created_at > m.at
        and b.file_size_limit = 50 * 1024 * 1024
        and b.allowed_mime_types = array[
          'image/png', 'image/jpeg', 'image/jpg', 'image/webp', 'image/gif', 'image/avif',
          'video/mp4', 'video/webm', 'video/quicktime'
        ]
    );
exception when syntax_error_or_access_rule_violation then
  null;
end $do$;
alter table unstuck.projections
  add column begun text check (begun is null or level = 'job');
alter table unstuck.host_requests
  drop constraint host_requests_pkey,
  add column host_user uuid,
  add column id bigint generated always as identity primary key;
create index host_requests_of_job on unstuck.host_requests (job_id);
revoke all on sequence unstuck.host_requests_id_seq from public, anon, authenticated, service_role;
update unstuck.host_requests r
set host_user = j.user_id
from unstuck.jobs j
where j.id = r.job_id;
comment on table unstuck.host_requests is $c$
Ends of jobs in the app's own tables, one row for each, so that no transaction of the app waits for
another to record its own. It is carried out at once where nobody holds the job, else by the next
pass of a healer.
$c$;

--: recreated below, or removed
drop function unstuck_private.projection_attach;

--: source projection/host_requests.sql f98335353c86 by hand

--: source projection/projections.sql 212c48505eeb by hand

--: source credit/credit_adjust.sql 6694dba50f36
-- Writes one signed adjustment, never below a balance of zero, for the two functions that older
-- back-end code calls. It refuses by success = false and a message, as that code expects, also
-- where the wallet refuses: a wallet may show a credit limit that is for orders only.
create or replace function unstuck_private.credit_adjust(
  p_user_id uuid,
  p_amount bigint,
  p_reason text
)
returns table (success boolean, new_balance bigint, error_message text)
language plpgsql
set search_path = ''
as
$$
declare
  v_balance bigint;
begin
  if p_user_id is null or p_amount is null or p_amount = 0 then
    return query select false, null::bigint, 'Amount must be positive';
    return;
  end if;
  if p_amount > unstuck_private.grant_max() then
    return query select false, null::bigint, 'Amount is too large';
    return;
  end if;
  perform unstuck_private.account_lock(p_user_id);
  select coalesce(max(w.balance), 0)
  into v_balance
  from unstuck_private.wallet_lock(p_user_id, null, true) w;
  if v_balance + p_amount < 0 then
    return query select false, v_balance, 'Insufficient credits';
    return;
  end if;
  insert into unstuck.credit_entries (user_id, kind, amount, reason)
  values (p_user_id, 'adjustment', p_amount, p_reason)
  returning balance_after
  into v_balance;
  return query select true, v_balance, null::text;
exception when others then
  if sqlstate <> '23514' and sqlstate not like 'PT4%' then
    raise;
  end if;
  return query
  select false, v_balance,
    case sqlstate when '23514' then 'Insufficient credits' else sqlerrm end;
end $$;

revoke all on function unstuck_private.credit_adjust from public, anon, authenticated, service_role;

--: source erase/user_erase_v1.sql 9242d499daff
create or replace function unstuck.user_erase_v1(p_actor uuid, p_user_id uuid, p_reason text)
returns table (jobs bigint, files bigint, entries bigint)
language plpgsql
security definer
set search_path = ''
set lock_timeout = '5s'
set statement_timeout = '60s'
as
$$
#variable_conflict use_column
declare
  v_ids uuid[];
  v_kept uuid[];
  v_files bigint;
  v_entries bigint;
  v_balance bigint;
begin
  if not unstuck.has_role(p_actor, 'admin') then
    perform unstuck_private.refuse(403, 'forbidden');
  end if;
  if p_user_id is null or p_user_id = unstuck_private.erased_user() then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  perform unstuck_private.act_as('admin:' || p_actor);
  perform unstuck_private.account_lock(p_user_id);
  v_balance := unstuck_private.wallet_hold(p_user_id, null);
  v_ids := array(
    select l.id
    from (
      select j.id
      from unstuck.jobs j
      where j.user_id = p_user_id
      order by j.id
      for update
    ) l
  );
  -- A provider still works for these, or is owed a cancel: their bare rows stay until it is sent.
  v_kept := array(
    select distinct s.job_id
    from unstuck.jobs j
    join unstuck.job_steps s on s.job_id = j.id
    where j.user_id = p_user_id
      and (
        s.provider_cancel_due <> '[]'
        or unstuck_private.holds_slot(s)
      )
  );
  select count(*)
  into v_files
  from unstuck.jobs j
  join unstuck.job_steps s on s.job_id = j.id
  where j.user_id = p_user_id and s.output_url is not null;
  perform unstuck_private.user_jobs_finalise(p_user_id);
  perform unstuck_private.user_leave_app(p_user_id, v_ids);
  perform unstuck_private.user_jobs_strip(p_user_id, v_kept);
  v_entries := unstuck_private.user_rows_delete(p_user_id, v_ids);
  insert into unstuck.erasures (user_id)
  values (p_user_id)
  on conflict (user_id) do update
  set
    at = clock_timestamp(),
    files_left = null;
  insert into unstuck.admin_log (actor, act, subject, "from", reason)
  values (
    p_actor,
    'user_erase',
    p_user_id::text,
    jsonb_build_object(
      'jobs', cardinality(v_ids),
      'entries', v_entries,
      'balance', v_balance
    ),
    p_reason
  );
  return query select cardinality(v_ids)::bigint, v_files, v_entries;
end $$;

comment on function unstuck.user_erase_v1 is $c$
Caller: admin-users, for its erase operation. The role of p_actor is read in the same transaction.

Effect: cancels the user's live jobs, then deletes the user's jobs, steps, events, webhooks, ledger,
account, cancelled orders, turns and roles, all or nothing, and records it in admin_log. A job that
a provider may still work on stays for a day as a bare row that names no user, so that its cancel is
sent. The files are listed in erasures and deleted later through the Storage API. jobs, entries:
deleted rows; files: results that the jobs named.

Refuses: forbidden, bad_request, in_progress (the app's wallet does not take back what it owes the
user, or its tables do not take the ends of the user's jobs; refunds_owed: how many credits,
rows_owed: how many rows. Where they never will, first delete the user's rows of refunds_owed, or
switch that row of projections off).

Replay: zeros. The user may come back and is a new user then.
$c$;

revoke all on function unstuck.user_erase_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.user_erase_v1 to service_role;

--: source erase/user_leave_app.sql db48242d0a49
-- What an app is told and owes before the rows of a user who is erased go: refunds that are owed
-- are paid, and the ends of these jobs, all of the user, are written to its tables, with what was
-- owed to those before. Refuses while anything is left. Account, wallet and jobs are locked.
create or replace function unstuck_private.user_leave_app(p_user_id uuid, p_job_ids uuid[])
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_refunds bigint;
  v_rows bigint;
begin
  perform unstuck_private.refunds_owed_pay(p_user_id, clock_timestamp() + interval '10 seconds');
  select coalesce(sum(o.amount), 0)
  into v_refunds
  from unstuck.refunds_owed o
  where o.job_id = any (p_job_ids);
  insert into unstuck_private.unprojected (job_id)
  select e.job_id
  from unstuck.projection_errors e
  where e.job_id = any (p_job_ids)
    and e.mended_at is null;
  set constraints unstuck_private.unprojected_project immediate;
  select count(*)
  into v_rows
  from unstuck.projection_errors e
  join unstuck.projections p on p.tool = e.tool and p.host_table = e.host_table and p.enabled
  where e.job_id = any (p_job_ids)
    and e.mended_at is null;
  if v_refunds > 0 or v_rows > 0 then
    perform unstuck_private.refuse(409, 'in_progress', jsonb_build_object(
      'refunds_owed', v_refunds, 'rows_owed', v_rows));
  end if;
end $$;

revoke all on function unstuck_private.user_leave_app
from public, anon, authenticated, service_role;

--: source order/is_apps_row.sql 6a0075490b5f
-- Whether an attached table of the app has a row under an order's id that is not this order's: the
-- app has begun or charged it itself, it is another user's, or it stands in the table of other
-- tools. A row that is this order's stays locked, so that the app does not begin it meanwhile.
-- Fails where somebody else holds the row.
create or replace function unstuck_private.is_apps_row(
  p_user_id uuid,
  p_job_id uuid,
  p_tool text
)
returns boolean
language plpgsql
set search_path = ''
set lock_timeout = '200ms'
as
$$
declare
  v_statement text;
  v_is_taken boolean;
begin
  select 'select ' || string_agg(
    format('coalesce((select %s from %s t where t.id = $1 for no key update nowait), false)',
      h.taken, h.host_table),
    ' or ' order by h.host_table)
  into v_statement
  from (
    select p.host_table,
      case
        when bool_or(p.tool = p_tool) then coalesce(string_agg(distinct c.taken, ' or '), 'false')
        else 'true'
      end as taken
    from unstuck.projections p
    cross join lateral (
      select nullif(
        concat_ws(' or ',
          '(' || p.begun || ') is true',
          't.' || quote_ident(unstuck_private.projection_owner(p)) || ' is distinct from $2'),
        '') as taken
    ) c
    where p.level = 'job'
    group by p.host_table
  ) h;
  if v_statement is null then
    return false;
  end if;
  -- The conditions are the app's words.
  perform set_config('search_path', 'public, extensions', true);
  execute v_statement
  into v_is_taken
  using p_job_id, p_user_id;
  return v_is_taken;
end $$;

revoke all on function unstuck_private.is_apps_row from public, anon, authenticated, service_role;

--: source order/order_debit.sql 9b560a83c309
-- Takes the price of an order from the wallet, which the caller has locked and which holds
-- p_balance, writes the entry and returns what was taken: nothing where orders are free. An order,
-- free or not, of what the app has taken up itself is refused first.
create or replace function unstuck_private.order_debit(
  p_user_id uuid,
  p_job_id uuid,
  p_tool text,
  p_price bigint,
  p_balance bigint
)
returns bigint
language plpgsql
set search_path = ''
as
$$
declare
  v_debit record;
begin
  perform unstuck_private.refuse_apps_row(p_user_id, p_job_id, p_tool);
  if p_price <= 0 then
    return 0;
  end if;
  v_debit := unstuck_private.wallet_debit(p_user_id, p_tool, p_price, p_job_id, p_tool);
  if v_debit.taken > 0 then
    insert into unstuck.credit_entries (
      user_id, job_id, kind, amount, balance_after, reason, receipt)
    values (
      p_user_id, p_job_id, 'debit', -v_debit.taken, p_balance - v_debit.taken, p_tool,
      v_debit.receipt);
  end if;
  return v_debit.taken;
end $$;

revoke all on function unstuck_private.order_debit from public, anon, authenticated, service_role;

--: source order/refuse_apps_row.sql f8ef4c1f782a
-- Refuses an order under whose id the app has a row that is not this order's.
--
-- The caller holds the account and the wallet. A transaction of the app that has the row may wait
-- for the wallet, so this never stands in a queue for the row, where others would see a deadlock:
-- it asks for the row each 10 ms, for 200 ms. After that the order is sent once more.
create or replace function unstuck_private.refuse_apps_row(
  p_user_id uuid,
  p_job_id uuid,
  p_tool text
)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_is_taken boolean;
  v_tries int := 0;
begin
  loop
    begin
      v_is_taken := unstuck_private.is_apps_row(p_user_id, p_job_id, p_tool);
      exit;
    exception when lock_not_available then
      v_tries := v_tries + 1;
      if v_tries >= 20 then
        raise;
      end if;
    end;
    perform pg_sleep(0.01);
  end loop;
  if v_is_taken then
    perform unstuck_private.refuse(409, 'idempotency_conflict');
  end if;
end $$;

revoke all on function unstuck_private.refuse_apps_row
from public, anon, authenticated, service_role;

--: source projection/host_request_carry_out.sql 12e147529938
-- Cancels a job that the app ended in its own table, unless somebody else holds it: then the
-- requests stay for the next pass. Where its user asked and a provider works on it by now, the
-- job goes on and the app's row is written back, unless the tool allows it. A row that is another
-- user's ends no job. What fails is kept with its error.
--
-- Whoever takes requests of a job holds the job, so nothing here waits for another transaction.
create or replace function unstuck_private.host_request_carry_out(p_job_id uuid) returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_requests bigint[];
  v_is_by_user boolean;
begin
  if unstuck_private.jobs_try_lock(array[p_job_id]) = '{}' then
    -- Its account and its wallet are let go: the app's transaction may last.
    raise exception using errcode = 'lock_not_available';
  end if;
  v_requests := array(
    select r.id
    from unstuck.host_requests r
    where r.job_id = p_job_id
  );
  begin
    select bool_and(r.by_user)
    into v_is_by_user
    from unstuck.host_requests r
    join unstuck.jobs j on j.id = r.job_id
    join unstuck.projections p on p.tool = j.tool and p.host_table = r.host_table
    where r.id = any (v_requests)
      and (unstuck_private.projection_owner(p) is null or r.host_user = j.user_id);
    if v_is_by_user and exists (
      select from unstuck.jobs j
      join unstuck.tools t using (tool)
      where j.id = p_job_id
        and j.status in ('starting', 'running')
        and not t.user_cancel_running
    ) then
      insert into unstuck_private.unprojected (job_id)
      values (p_job_id);
    elsif v_is_by_user is not null then
      perform unstuck_private.act_as('app');
      perform unstuck_private.jobs_finalise_each(
        array[p_job_id], array['cancelled'], array['CANCELLED'], array['cancelled in the app.'],
        clock_timestamp() + interval '3 seconds');
    end if;
    delete from unstuck.host_requests r
    where r.id = any (v_requests);
  exception when others then
    update unstuck.host_requests r
    set error = sqlerrm
    where r.id = any (v_requests);
  end;
exception when lock_not_available then
  -- The requests stay as they are.
  null;
end $$;

revoke all on function unstuck_private.host_request_carry_out
from public, anon, authenticated, service_role;

--: source projection/host_requests_carry_out.sql 5d8a5518959e
-- Carries out what the app asked for while somebody else held the job, until p_until, and waits for
-- nobody. Requests for jobs that are gone go with them.
create or replace function unstuck_private.host_requests_carry_out(p_until timestamptz)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_job uuid;
begin
  delete from unstuck.host_requests r
  where r.id in (
    select g.id
    from unstuck.host_requests g
    where not exists (select from unstuck.jobs j where j.id = g.job_id)
    for update skip locked
  );
  for v_job in
    select r.job_id
    from unstuck.host_requests r
    group by r.job_id
    order by bool_or(r.error is not null), min(r.at)
    limit 200
  loop
    exit when clock_timestamp() > p_until;
    perform unstuck_private.host_request_carry_out(v_job);
  end loop;
end $$;

revoke all on function unstuck_private.host_requests_carry_out
from public, anon, authenticated, service_role;

--: source projection/host_row_changed.sql 2df39b117f97
-- What others do to a row of an attached table. A row that an older page inserts is a pending job
-- of ours: unpaid, and harmless until its `/run` adopts it. A row that a page or a function of the
-- app ends while our job lives cancels the job, with its refund; but a user does not end a job of
-- the user's own that a provider works on, and the row is written back. A row that is another
-- user's is none of the job's. Our own writes are known by a setting.
--
-- The app's transaction holds its row already, against our order of locks, so nothing here waits
-- for ours: what cannot be had at once is left to the next pass, as a row of `host_requests`.
create or replace function unstuck_private.host_row_changed() returns trigger
language plpgsql
security definer
set search_path = ''
set lock_timeout = '100ms'
as
$$
declare
  v_user uuid;
begin
  if current_setting('unstuck.projecting', true) = 'on' then
    return null;
  end if;
  if tg_op = 'INSERT' then
    perform unstuck_private.host_row_take(tg_relid, to_jsonb(new));
    return null;
  end if;
  select to_jsonb(new) ->> unstuck_private.projection_owner(p)
  into v_user
  from unstuck.projections p
  where p.host_table = tg_relid
    and p.enabled
    and new.status is distinct from old.status
    and new.status::text in (p.statuses ->> 'failed', p.statuses ->> 'cancelled')
  limit 1;
  if not found then
    return null;
  end if;
  begin
    perform
    from unstuck.jobs j
    where j.id = new.id
      and unstuck_private.is_live(j.status);
    if not found then
      return null;
    end if;
  exception when lock_not_available then
    -- The next pass sees whether there is such a job.
    null;
  end;
  insert into unstuck.host_requests (job_id, host_table, host_user, by_user)
  values (new.id, tg_relid, v_user, unstuck_private.is_by_user(v_user));
  perform unstuck_private.host_request_carry_out(new.id);
  return null;
exception when lock_not_available then
  raise warning 'what was done to the row % of % is not recorded: %', new.id, tg_relid, sqlerrm;
  return null;
end $$;

revoke all on function unstuck_private.host_row_changed
from public, anon, authenticated, service_role;

--: source projection/projection_attach.sql 5b2c7ca8b0f8
-- Writes the jobs of a tool to a table of the app from now on, and takes what older pages and the
-- app's own functions do to those rows; `projection.sql` of an adapter calls it. A column that the
-- table does not have is refused, and so is a p_begun that cannot be asked of it: a condition over
-- the app's row `t`, true where the app has begun or charged the job itself. Repeating it changes
-- what is given anew. Where the setting `unstuck.tools` names tools, all others are left as they
-- are.
create or replace function unstuck_private.projection_attach(
  p_tool text,
  p_host_table regclass,
  p_level text,
  p_columns jsonb,
  p_statuses jsonb,
  p_settings jsonb default '{}',
  p_begun text default null
)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_unknown text;
  v_statement text;
begin
  if p_tool <> all (string_to_array(nullif(current_setting('unstuck.tools', true), ''), ' ')) then
    return;
  end if;
  select string_agg(c.name, ', ')
  into v_unknown
  from jsonb_object_keys(p_columns) as c (name)
  where not exists (
    select from pg_catalog.pg_attribute a
    where a.attrelid = p_host_table
      and a.attname = c.name
      and not a.attisdropped
  );
  if v_unknown is not null then
    raise exception '% has no column %', p_host_table, v_unknown;
  end if;
  insert into unstuck.projections (tool, host_table, level, columns, statuses, settings, begun)
  values (p_tool, p_host_table, p_level, p_columns, p_statuses, p_settings, p_begun)
  on conflict (tool, host_table) do update
  set level = excluded.level,
    columns = excluded.columns,
    statuses = excluded.statuses,
    settings = excluded.settings,
    begun = excluded.begun;
  if p_level = 'job' then
    -- A trigger of the app's table: which one is known here only.
    v_statement := format(
      'create or replace trigger unstuck_host_row after insert or update of status on %s '
        || 'for each row execute function unstuck_private.host_row_changed()',
      p_host_table
    );
    execute v_statement;
  end if;
  -- No row has this id: it only asks.
  perform unstuck_private.refuse_apps_row(null, null, p_tool);
end $$;

revoke all on function unstuck_private.projection_attach
from public, anon, authenticated, service_role;

--: source projection/projections_mend.sql 9b213c45a362
-- Lists what is owed to the app's tables once more, those tried least first, so that the last act
-- of this transaction writes it. At most 50, because each may wait for a lock of the app for a
-- moment. Nothing is owed of a job that is gone.
create or replace function unstuck_private.projections_mend() returns void
language sql
set search_path = ''
as
$$
  delete from unstuck.projection_errors e
  where e.id in (
    select g.id
    from unstuck.projection_errors g
    where g.mended_at is null
      and not exists (select from unstuck.jobs j where j.id = g.job_id)
    for update skip locked
  );
  insert into unstuck_private.unprojected (job_id)
  select e.job_id
  from unstuck.projection_errors e
  join unstuck.projections p on p.tool = e.tool and p.host_table = e.host_table and p.enabled
  where e.mended_at is null
  order by e.tries, e.at
  limit 50
$$;

revoke all on function unstuck_private.projections_mend
from public, anon, authenticated, service_role;

--: source retention/files_choose_v1.sql 3eca298915f7
create or replace function unstuck.files_choose_v1(
  p_kind text,
  p_bucket text,
  p_objects jsonb,
  p_user_id uuid default null
)
returns table (names jsonb, due int)
language sql
security definer
set search_path = ''
as
$$
  with listed as (
    select
      o.name,
      o.created_at,
      case when p.owner ~ u.form then p.owner::uuid end as owner,
      case when p.job ~ u.form and p.file <> '' then p.job::uuid end as job
    from jsonb_to_recordset(p_objects) as o (name text, created_at timestamptz)
    cross join (
      select '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' as form
    ) u
    cross join lateral (
      select
        split_part(o.name, '/', 1) as owner,
        split_part(o.name, '/', 2) as job,
        split_part(o.name, '/', 3) as file
    ) p
  ), known as (
    select
      l.*,
      exists (
        select from unstuck.jobs j
        where j.user_id = l.owner
          and unstuck_private.is_live(j.status)
      ) as is_held,
      exists (
        select from unstuck.jobs j
        where j.id = l.job
          and j.user_id = l.owner
      ) as is_of_job
    from listed l
  ), due as (
    select k.name, k.is_held
    from known k
    where case p_kind
      when 'erased' then
        k.owner = p_user_id
        and exists (
          select from unstuck.erasures e
          where e.user_id = p_user_id
            and (
              k.created_at < e.at
              -- Stored by a worker that had not heard of it.
              or p_bucket = 'results' and not k.is_of_job
            )
        )
      else
        p_kind = p_bucket
        and k.owner is not null
        and k.job is not null
        and not k.is_held
        and exists (
          select from unstuck.retention r
          where r.kind = case when k.is_of_job then '' else 'abandoned_' end || p_kind
            and k.created_at < clock_timestamp() - r.keep
        )
    end
  ), chosen as (
    select d.name
    from due d
    where not d.is_held
    -- Any of them, so that files which storage refuses to delete keep none of the others.
    order by random()
    limit 100
  )
  select
    (select coalesce(jsonb_agg(c.name order by c.name), '[]') from chosen c),
    (select count(*)::int from due)
$$;

comment on function unstuck.files_choose_v1 is $c$
Caller: cleanup-stale-generations, with a page of a bucket's files (p_objects: name and created_at
of each; p_bucket: uploads | results).

Effect: none. names: at most 100 of them to delete now; due: how many are to be deleted in all. Of a
user with a live job none is deleted now. uploads and results: files of a job of ours, under
`<user id>/<job id>/`, that are older than their kind is kept; where abandoned_uploads are not kept
for ever, uploads under such a name that no job of ours has, too. erased: files of the erased user
p_user_id, those that a live job holds counted as due; what the user uploaded, or ordered, since
then is kept.

Refuses: nothing.

Replay: reads again.
$c$;

revoke all on function unstuck.files_choose_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.files_choose_v1 to service_role;

--: source retention/files_deleted_v1.sql 8875e53e8298
create or replace function unstuck.files_deleted_v1(
  p_kind text,
  p_deleted int,
  p_left int,
  p_user_id uuid default null,
  p_cursor text default null,
  p_error text default null
)
returns void
language sql
security definer
set search_path = ''
as
$$
  insert into unstuck_private.file_walks as w (kind, cursor)
  select p_kind, p_cursor
  where p_user_id is null
  on conflict (kind) do update
  set cursor = excluded.cursor;
  update unstuck.erasures e
  set
    files_left = case
      when p_error is null then p_left
      -- Some were not counted: at least these are left, and none left is not known.
      else coalesce(nullif(p_left, 0), nullif(e.files_left, 0))
    end
  where e.user_id = p_user_id;
  insert into unstuck_private.retention_progress as p (kind, pruned, pruned_at, error, error_at)
  select
    p_kind,
    p_deleted,
    case when p_deleted > 0 then clock_timestamp() end,
    p_error,
    case when p_error is not null then clock_timestamp() end
  where p_deleted > 0
    or p_error is not null
  on conflict (kind) do update
  set
    pruned = p.pruned + excluded.pruned,
    pruned_at = coalesce(excluded.pruned_at, p.pruned_at),
    error = coalesce(excluded.error, p.error),
    error_at = coalesce(excluded.error_at, p.error_at);
$$;

comment on function unstuck.files_deleted_v1 is $c$
Caller: cleanup-stale-generations, after it deleted files of one kind.

Effect: records how many went and the last error, and where the walk goes on (p_cursor). Of an
erased user it records how many files are left, as far as they were listed; with an error, never
that none is.

Refuses: nothing.

Replay: counts the deleted files twice.
$c$;

revoke all on function unstuck.files_deleted_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.files_deleted_v1 to service_role;

--: source retention/files_due_v1.sql 8de7859faaf3
create or replace function unstuck.files_due_v1()
returns table (kind text, user_id uuid, cursor text)
language sql
security definer
set search_path = ''
as
$$
  select k.kind, null::uuid, w.cursor
  from (
    select distinct replace(r.kind, 'abandoned_', '') as kind
    from unstuck.retention r
    where r.kind in ('uploads', 'abandoned_uploads', 'results')
      and r.keep is not null
  ) k
  left join unstuck_private.file_walks w using (kind)
  union all
  (
    select 'erased', e.user_id, null
    from unstuck.erasures e
    where e.files_left is distinct from 0
      -- A result that a worker was storing at that moment.
      or e.at > clock_timestamp() - interval '1 hour'
    -- No user whose files cannot be deleted keeps the others waiting.
    order by random()
    limit 1
  )
$$;

comment on function unstuck.files_due_v1 is $c$
Caller: cleanup-stale-generations, before it deletes files through the Storage API.

Effect: none; where to look for files in this pass. kind: uploads | results (files that are older
than their kind of `retention` is kept; from cursor on) | erased (all files of user_id, in both
buckets).

Refuses: nothing.

Replay: reads again.
$c$;

revoke all on function unstuck.files_due_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.files_due_v1 to service_role;

--: source wallet/refunds_owed_pay.sql 4758d2d78e3d
-- Tries the refunds that are owed, those tried least first, until p_until; of one user only where
-- p_user_id names one. It waits for no lock, and none that fails stops another: whatever fails is
-- one try more.
create or replace function unstuck_private.refunds_owed_pay(p_user_id uuid, p_until timestamptz)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_owed record;
  v_step int;
  v_given bigint;
begin
  -- Nothing is owed as a rule, and then no job is read.
  if not exists (select from unstuck.refunds_owed) then
    return;
  end if;
  for v_owed in
    select o.ctid, o.step, o.amount, o.at, o.tries, j as job
    from unstuck.refunds_owed o
    join unstuck.jobs j on j.id = o.job_id
    where j.user_id = coalesce(p_user_id, j.user_id)
    order by o.tries, o.at
    limit 200
  loop
    exit when clock_timestamp() > p_until;
    begin
      continue when unstuck_private.jobs_try_lock(array[(v_owed.job).id]) = '{}';
      -- Another pass may have paid it before this one held the job.
      delete from unstuck.refunds_owed o
      where o.ctid = v_owed.ctid
        and o.tries = v_owed.tries
        and o.amount = v_owed.amount
        and o.job_id = (v_owed.job).id;
      continue when not found;
      -- No entry ever changes: what follows a part of a refund stands under a free number.
      v_step := (
        select case
          when exists (
            select from unstuck.credit_entries e
            where e.job_id = l.job_id
              and e.kind = 'refund'
              and e.step is not distinct from v_owed.step
          ) then l.free_number
          else v_owed.step
        end
        from unstuck_private.jobs_ledger(array[(v_owed.job).id]) l
      );
      v_given := unstuck_private.refund_ask(
        v_owed.job, v_step, v_owed.amount, 'a refund that was owed');
      update unstuck.refunds_owed o
      set at = least(o.at, v_owed.at),
        tries = greatest(o.tries, v_owed.tries + 1)
      where o.job_id = (v_owed.job).id
        and o.step is not distinct from v_step;
      update unstuck.jobs j
      set credits_refunded = j.credits_refunded + v_given
      where j.id = (v_owed.job).id
        and v_given > 0;
    exception when others then
      raise warning 'the refund of % that is owed failed: %', (v_owed.job).id, sqlerrm;
      update unstuck.refunds_owed o
      set tries = o.tries + 1,
        error = sqlerrm
      where o.ctid in (
        select l.ctid
        from unstuck.refunds_owed l
        where l.ctid = v_owed.ctid
          and l.tries = v_owed.tries
          and l.job_id = (v_owed.job).id
        for update skip locked
      );
    end;
  end loop;
end $$;

revoke all on function unstuck_private.refunds_owed_pay
from public, anon, authenticated, service_role;

--: source retention/known_kinds.sql 2ceb094de198 by hand

--: history
insert into unstuck_private.migrations (number, name, hash)
values (
  5,
  'mends_of_moving_in',
  'c1be08a242633441b8656b10abeca849b4f7f2047f36c05bbea03c5e748c42fc'
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
