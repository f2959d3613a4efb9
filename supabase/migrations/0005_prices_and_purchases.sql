-- 0005_prices_and_purchases.sql
-- Made by `cargo xtask migration prices_and_purchases`
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

--: source retention/known_kinds.sql 2ceb094de198 by hand

--: history
insert into unstuck_private.migrations (number, name, hash)
values (
  5,
  'prices_and_purchases',
  'e40313cc5bb06c856d88da0a617135159c8c3d4af7abb32a9b7029950b7b7600'
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
