-- Finds the jobs that an admin's filter names. `p_filter` has any of the keys `ids`, `tool`,
-- `status`, `provider`, `userId`, `errorCode`, `createdAfter`, `createdBefore`; a job must meet all
-- of them. The status queued includes pending, running includes starting. A filter with neither ids
-- nor a status finds the jobs with a status of `p_statuses`.
--
-- An empty `ids` finds no job. Quarantined jobs, and with `p_once` also jobs that were retried
-- before, are found only by `ids`. The column `ids` returns the oldest `p_limit` jobs, `total`
-- counts all of them, up to 1,000,000.
create or replace function unstuck_private.jobs_matching(
  p_filter jsonb,
  p_statuses text[],
  p_once boolean,
  p_limit int,
  out total int,
  out ids uuid[]
)
language plpgsql
stable
set search_path = ''
-- A plan without the conditions that the filter leaves out.
set plan_cache_mode = 'force_custom_plan'
as
$$
declare
  v_ids uuid[] := case when jsonb_typeof(p_filter -> 'ids') = 'array' then
    array(select i.id::uuid from jsonb_array_elements_text(p_filter -> 'ids') as i (id))
  end;
  v_status text := p_filter ->> 'status';
  v_statuses text[] := case
    when v_status = 'queued' then array['pending', 'queued']
    when v_status = 'running' then array['starting', 'running']
    when v_status is not null then array[v_status]
    when v_ids is null then p_statuses
  end;
  v_tools text[] := array(
    select t.tool
    from unstuck.tools t
    where t.tool = coalesce(p_filter ->> 'tool', t.tool)
      and t.provider = coalesce(p_filter ->> 'provider', t.provider)
  );
  v_user uuid := p_filter ->> 'userId';
  v_code text := p_filter ->> 'errorCode';
  v_after timestamptz := p_filter ->> 'createdAfter';
  v_before timestamptz := p_filter ->> 'createdBefore';
begin
  select (count(*))::int, (array_agg(m.id order by m.created_at, m.id))[:p_limit]
  into total, ids
  from (
    select j.id, j.created_at
    from unstuck.jobs j
    where (v_ids is null or j.id = any (v_ids))
      and (v_statuses is null or j.status = any (v_statuses))
      and j.tool = any (v_tools)
      and (v_user is null or j.user_id = v_user)
      and (v_code is null or j.error_code = v_code)
      and (v_after is null or j.created_at > v_after)
      and (v_before is null or j.created_at < v_before)
      and (
        v_ids is not null
        or j.quarantined_at is null
          and not (p_once and exists (select from unstuck.jobs r where r.retry_of = j.id))
      )
    limit 1000000
  ) m;
  ids := coalesce(ids, '{}');
end $$;

revoke all on function unstuck_private.jobs_matching from public, anon, authenticated, service_role;
