create or replace function unstuck.step_done_v1(
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_task_id text,
  p_output jsonb
)
returns table (outcome text, run bigint, result jsonb)
language sql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
  select unstuck_private.refuse_other_deployment();
  select s.outcome, s.run, s.result
  from unstuck.step_done_v2(p_job_id, p_step, p_run, p_task_id, p_output) s
$$;

comment on function unstuck.step_done_v1 is $c$
Caller: Workers of the version before `step_done_v2`, which does the work.

Effect: frees the slot and gives the caller the lease under which it copies the result. outcome:
copy (run: the run to go on with; result: which file is the result, as the stored request says) |
late (the step is final: the success is recorded, and nothing else changes) | stale (not this run's
task, or another worker copies the result). A task of another step changes nothing.

Refuses: nothing.

Replay: stale while the lease lasts; afterwards copy, for the next worker.
$c$;

revoke all on function unstuck.step_done_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_done_v1 to service_role;
