-- Returns why an act on many jobs left some of them as they were: `[{jobId, code}]`. `p_chosen` are
-- the jobs that the filter found, `p_locked` those that the caller has locked, `p_done` those that
-- it has changed.
--
-- The codes: not_found, an id of the filter without a job; already_final; internal, a job that is
-- quarantined because it could not be written; in_progress, a job that another transaction has
-- locked. A job that was locked and for which no time was left is not listed. With `p_limit` 0,
-- which only counts jobs, no id is not_found.
create or replace function unstuck_private.jobs_refused(
  p_filter jsonb,
  p_limit int,
  p_chosen uuid[],
  p_done uuid[],
  p_locked uuid[]
)
returns jsonb
language sql
stable
set search_path = ''
as
$$
  select coalesce(jsonb_agg(jsonb_build_object('jobId', r.id, 'code', r.code)), '[]')
  from (
    select i.id, 'not_found' as code
    from (
      select n.id::uuid
      from jsonb_array_elements_text(p_filter -> 'ids') as n (id)
    ) i
    where p_limit > 0
      and not exists (select from unstuck.jobs j where j.id = i.id)
    union all
    select
      j.id,
      case
        when unstuck_private.is_final(j.status) then 'already_final'
        when j.quarantined_at is not null then 'internal'
        else 'in_progress'
      end
    from unstuck.jobs j
    where j.id = any (p_chosen)
      and j.id <> all (p_done)
      and (j.id <> all (p_locked) or j.quarantined_at is not null)
  ) r
$$;

revoke all on function unstuck_private.jobs_refused from public, anon, authenticated, service_role;
