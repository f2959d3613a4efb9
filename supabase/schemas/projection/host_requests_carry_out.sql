-- Carries out the requests of the app that were left because another transaction had locked the job
-- (`host_request_carry_out`), for up to 200 jobs until `p_until`. It waits for no lock. It deletes
-- the requests for jobs that no longer exist.
create or replace function unstuck_private.host_requests_carry_out(p_until timestamptz)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_job uuid;
begin
  delete from unstuck.host_requests r
  where r.id in (
    select g.id
    from unstuck.host_requests g
    where not exists (select from unstuck.jobs j where j.id = g.job_id)
    for update skip locked
  );
  for v_job in
    select r.job_id
    from unstuck.host_requests r
    group by r.job_id
    order by bool_or(r.error is not null), min(r.at)
    limit 200
  loop
    exit when clock_timestamp() > p_until;
    perform unstuck_private.host_request_carry_out(v_job);
  end loop;
end $$;

revoke all on function unstuck_private.host_requests_carry_out
from public, anon, authenticated, service_role;
