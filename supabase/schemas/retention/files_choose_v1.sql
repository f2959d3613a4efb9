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
  ), due as (
    select l.name, row_number() over (order by l.name) as nth
    from listed l
    where not exists (
        select from unstuck.jobs j
        where j.user_id = l.owner
          and unstuck_private.is_live(j.status)
      )
      and case p_kind
        when 'erased' then
          l.owner = p_user_id
          and exists (
            select from unstuck.erasures e
            where e.user_id = p_user_id
              and (
                l.created_at < e.at
                -- Stored by a worker that had not heard of it.
                or p_bucket = 'results'
                and not exists (
                  select from unstuck.jobs j
                  where j.id = l.job
                    and j.user_id = p_user_id
                )
              )
          )
        else
          l.owner is not null
          and l.job is not null
          and (
            -- An app that moved in may keep files of its own under such names.
            not unstuck_private.has_adapter()
            or exists (
              select from unstuck.jobs j
              where j.id = l.job
                and j.user_id = l.owner
            )
          )
          and exists (
            select from unstuck.retention r
            where r.kind = p_kind
              and r.kind = p_bucket
              and l.created_at < clock_timestamp() - r.keep
          )
      end
  )
  select coalesce(jsonb_agg(d.name order by d.nth) filter (where d.nth <= 100), '[]'),
    count(*)::int
  from due d
$$;

comment on function unstuck.files_choose_v1 is $c$
Caller: cleanup-stale-generations, with a page of a bucket's files (p_objects: name and created_at
of each; p_bucket: uploads | results).

Effect: none. names: at most 100 of them to delete now; due: how many are to be deleted in all. Of a
user with a live job none is. uploads and results: files under `<user id>/<job id>/` that are older
than their kind is kept; where an adapter is installed, of jobs that we know. erased: files of the
erased user p_user_id; what the user uploaded, or ordered, since then is kept.

Refuses: nothing.

Replay: reads again.
$c$;

revoke all on function unstuck.files_choose_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.files_choose_v1 to service_role;
