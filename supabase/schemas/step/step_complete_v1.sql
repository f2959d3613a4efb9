create or replace function unstuck.step_complete_v1(
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_output jsonb,
  p_output_url text
)
returns table (outcome text, job_status text, refunded bigint)
language sql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
  select unstuck_private.refuse_other_deployment();
  select s.outcome, s.job_status, s.refunded
  from unstuck.step_complete_v2(p_job_id, p_step, p_run, p_output, p_output_url) s
$$;

comment on function unstuck.step_complete_v1 is $c$
Caller: Workers of the version before `step_complete_v2`, which does the work.

Effect: completes the step. The last step completes the job; any other lets the next step of a chain
queue. At a synchronous provider it closes the circuits of provider and tool. outcome: completed |
late (the step is final) | stale (not the present run, or not running).

Refuses: nothing.

Replay: late.
$c$;

revoke all on function unstuck.step_complete_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_complete_v1 to service_role;
