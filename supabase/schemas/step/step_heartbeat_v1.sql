create or replace function unstuck.step_heartbeat_v1(p_job_id uuid, p_step int, p_run bigint)
returns table (applied boolean, lease_ms int)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '5s'
as
$$
declare
  v_lease timestamptz;
  v_now timestamptz;
begin
  perform unstuck_private.refuse_other_deployment();
  update unstuck.job_steps s set
    lease_until = least(clock_timestamp() + i.lease, s.deadline_at)
  from unstuck_private.intervals() i
  where s.job_id = p_job_id
    and s.step = p_step
    and s.run = p_run
    and s.status = 'running'
    and s.lease_until > clock_timestamp()
  returning s.lease_until into v_lease;
  v_now := clock_timestamp();
  return query
  select
    v_lease is not null,
    -- A deadline by hand may lie so far back that no number holds the distance.
    coalesce(extract(epoch from greatest(v_lease, v_now) - v_now) * 1000, 0)::int;
end $$;

comment on function unstuck.step_heartbeat_v1 is $c$
Caller: a worker, while a synchronous call or a copy runs.

Effect: renews the lease, never past the step's deadline. lease_ms: how long it lasts. applied =
false: the lease is lost, and the worker aborts its call.

Refuses: nothing.

Replay: renews the lease again.
$c$;

revoke all on function unstuck.step_heartbeat_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_heartbeat_v1 to service_role;
