-- Returns the jobs that a search text names: by their id or the first four or more digits of it, by
-- a provider's task, or by the id of the request that ordered. Up to `p_limit` jobs are found by
-- their id, and as many by the rest.
create or replace function unstuck_private.jobs_named(p_text text, p_limit int)
returns table (job_id uuid)
language plpgsql
stable
set search_path = ''
as
$$
declare
  v_hex text := unstuck_private.id_beginning(p_text);
begin
  if v_hex is not null then
    return query
    select j.id
    from unstuck.jobs j
    where j.id between rpad(v_hex, 32, '0')::uuid and rpad(v_hex, 32, 'f')::uuid
    limit p_limit;
  end if;
  return query
  select s.job_id
  from unstuck.providers p
  join unstuck.job_steps s on s.provider = p.provider and s.provider_task_id = p_text
  union
  select j.id
  from unstuck.jobs j
  where j.request_id = p_text
  limit p_limit;
end $$;

revoke all on function unstuck_private.jobs_named from public, anon, authenticated, service_role;
