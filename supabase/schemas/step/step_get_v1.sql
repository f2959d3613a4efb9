create or replace function unstuck.step_get_v1(p_job_id uuid, p_step int)
returns table (
  job_id uuid,
  step int,
  run bigint,
  tool text,
  provider text,
  user_id uuid,
  job_status text,
  status text,
  task_id text,
  done boolean,
  sent boolean,
  output jsonb
)
language plpgsql
stable
security definer
set search_path = ''
as
$$
begin
  return query
  select
    s.job_id,
    s.step,
    s.run,
    j.tool,
    s.provider,
    j.user_id,
    j.status,
    s.status,
    s.provider_task_id,
    s.provider_done_at is not null,
    s.sent_at is not null,
    s.output
  from unstuck.job_steps s
  join unstuck.jobs j on j.id = s.job_id
  where s.job_id = p_job_id
    and s.step = p_step;
end $$;

comment on function unstuck.step_get_v1 is $c$
Caller: the consumer of webhooks' messages and the reconciliation of lost submissions.

Effect: none; returns one step as it is now.

Refuses: nothing; no row where there is no such step.

Replay: reads again.
$c$;

revoke all on function unstuck.step_get_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_get_v1 to service_role;
