-- Locks the app's rows of a job, or of its steps, unless another transaction holds one of them.
create or replace function unstuck_private.host_rows_try_lock(
  p_job_id uuid,
  p_projection unstuck.projections
)
returns boolean
language plpgsql
set search_path = ''
as
$$
declare
  v_ids uuid[] := case p_projection.level
    when 'job' then array[p_job_id]
    else array(
      select unstuck_private.step_row_id(s)
      from unstuck.job_steps s
      where s.job_id = p_job_id
    )
  end;
begin
  execute format(
    'select from %s t where t.id = any ($1) order by t.id for no key update nowait',
    p_projection.host_table)
  using v_ids;
  return true;
exception when lock_not_available then
  return false;
end $$;

revoke all on function unstuck_private.host_rows_try_lock
from public, anon, authenticated, service_role;
