-- Returns what a job has made as its owner may see it: a JSON list of objects with `index`, `url`,
-- `kind` and `error`. A job of a parallel tool has one for each step that has ended, with `index`
-- counting the steps from 0. Any other job has one once it is completed, and an empty list before.
create or replace function unstuck_private.job_outputs(p_job unstuck.jobs, p_tool unstuck.tools)
returns jsonb
language plpgsql
stable
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
as
$$
declare
  v_kind text := unstuck_private.output_kind(p_tool.table_name);
begin
  if p_tool.step_order = 'parallel' then
    return (
      select coalesce(
        jsonb_agg(
          jsonb_build_object(
            'index', s.step - 1,
            'url', case
              when s.status = 'completed'
                and (p_job.refund_rule = 'per_step' or p_job.status = 'completed')
              then s.output_url
            end,
            'kind', v_kind,
            'error', unstuck_private.public_error(s.error_code, s.error_message)
          )
          order by s.step
        ),
        '[]')
      from unstuck.job_steps s
      where s.job_id = p_job.id
        and unstuck_private.is_final(s.status)
    );
  end if;
  if p_job.status = 'completed' and p_job.output_url is not null then
    return jsonb_build_array(jsonb_build_object(
      'index', 0, 'url', p_job.output_url, 'kind', v_kind, 'error', null));
  end if;
  return '[]';
end $$;

revoke all on function unstuck_private.job_outputs from public, anon, authenticated, service_role;
