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
  select unstuck_private.refuse_other_deployment();
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
