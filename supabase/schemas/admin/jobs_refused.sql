-- Why jobs that an admin chose were not acted on: `[{jobId, code}]`. An id that the filter names
-- and nothing has is not_found, a final job already_final, one that another transaction holds
-- in_progress, and one that could not be written internal. What the time did not suffice for is not
-- listed.
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
