-- Carries out the requests in `host_requests` for one job: cancels the job, which the app has ended
-- in its own table, and deletes them. A request from a row that belongs to another user cancels
-- nothing. If only the job's own user asked, and a provider works on the job by now, the job goes
-- on unless the tool allows that cancel, and the app's row is written back. Where the cancel fails,
-- the requests stay with the error.
--
-- It waits for no other transaction: where one has locked the job, the requests stay for the next
-- pass. Only whoever has locked a job deletes its requests.
create or replace function unstuck_private.host_request_carry_out(p_job_id uuid) returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_requests bigint[];
  v_is_by_user boolean;
begin
  if unstuck_private.jobs_try_lock(array[p_job_id]) = '{}' then
    -- Its account and its wallet are let go: the app's transaction may last.
    raise exception using errcode = 'lock_not_available';
  end if;
  v_requests := array(
    select r.id
    from unstuck.host_requests r
    where r.job_id = p_job_id
  );
  begin
    select bool_and(r.by_user)
    into v_is_by_user
    from unstuck.host_requests r
    join unstuck.jobs j on j.id = r.job_id
    join unstuck.projections p on p.tool = j.tool and p.host_table = r.host_table
    where r.id = any (v_requests)
      and (unstuck_private.projection_owner(p) is null or r.host_user = j.user_id);
    if v_is_by_user and exists (
      select from unstuck.jobs j
      join unstuck.tools t using (tool)
      where j.id = p_job_id
        and j.status in ('starting', 'running')
        and not t.user_cancel_running
    ) then
      insert into unstuck_private.unprojected (job_id)
      values (p_job_id);
    elsif v_is_by_user is not null then
      perform unstuck_private.act_as('app');
      perform unstuck_private.jobs_finalise_each(
        array[p_job_id], array['cancelled'], array['CANCELLED'], array['cancelled in the app.'],
        clock_timestamp() + interval '3 seconds');
    end if;
    delete from unstuck.host_requests r
    where r.id = any (v_requests);
  exception when others then
    update unstuck.host_requests r
    set error = sqlerrm
    where r.id = any (v_requests);
  end;
exception when lock_not_available then
  -- The requests stay as they are.
  null;
end $$;

revoke all on function unstuck_private.host_request_carry_out
from public, anon, authenticated, service_role;
