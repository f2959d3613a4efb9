create or replace function unstuck.steps_get_v1(p_job_id uuid)
returns table (
  job_id uuid,
  step int,
  run bigint,
  tool text,
  provider text,
  user_id uuid,
  status text,
  task_id text,
  done boolean,
  sent boolean
)
language sql
stable
security definer
set search_path = ''
as
$$
  select
    s.job_id,
    s.step,
    s.run,
    j.tool,
    s.provider,
    j.user_id,
    s.status,
    s.provider_task_id,
    s.provider_done_at is not null,
    s.sent_at is not null
  from unstuck.job_steps s
  join unstuck.jobs j on j.id = s.job_id
  where s.job_id = p_job_id
  order by s.step
  limit 100
$$;

comment on function unstuck.steps_get_v1 is $c$
Caller: reconcile, and the edge after a cancel.

Effect: none; returns the steps of a job that exist, whatever its total_steps says, at most 100.

Refuses: nothing; no row where there is no such job.

Replay: reads again.
$c$;

revoke all on function unstuck.steps_get_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.steps_get_v1 to service_role;
