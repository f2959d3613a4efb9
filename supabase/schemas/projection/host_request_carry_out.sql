-- Cancels a job that the app ended in its own table, unless somebody else holds it: then the
-- request stays for the next pass. Where its user asked and a provider works on it by now, the
-- job goes on and the app's row is written back, unless the tool allows it. What fails is kept with
-- its error.
create or replace function unstuck_private.host_request_carry_out(p_job_id uuid) returns void
language plpgsql
set search_path = ''
as
$$
begin
  if unstuck_private.jobs_try_lock(array[p_job_id]) = '{}' then
    return;
  end if;
  if exists (
    select from unstuck.host_requests r
    join unstuck.jobs j on j.id = r.job_id
    join unstuck.tools t using (tool)
    where r.job_id = p_job_id
      and r.by_user
      and j.status in ('starting', 'running')
      and not t.user_cancel_running
  ) then
    insert into unstuck_private.unprojected (job_id)
    values (p_job_id);
  else
    perform unstuck_private.act_as('app');
    perform unstuck_private.jobs_finalise_each(
      array[p_job_id], array['cancelled'], array['CANCELLED'], array['cancelled in the app.'],
      clock_timestamp() + interval '3 seconds');
  end if;
  delete from unstuck.host_requests r
  where r.job_id = p_job_id;
exception when others then
  update unstuck.host_requests r
  set error = sqlerrm
  where r.job_id = p_job_id;
end $$;

revoke all on function unstuck_private.host_request_carry_out
from public, anon, authenticated, service_role;
