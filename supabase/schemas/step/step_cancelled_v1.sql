create or replace function unstuck.step_cancelled_v1(p_job_id uuid, p_step int, p_task_id text)
returns table (remaining int)
language sql
security definer
set search_path = ''
as
$$
  select unstuck_private.refuse_other_deployment();
  select unstuck_private.act_as('worker');
  update unstuck.job_steps s set
    provider_cancel_due = unstuck_private.cancel_debt_without(s.provider_cancel_due, p_task_id)
  where s.job_id = p_job_id
    and s.step = p_step
  returning jsonb_array_length(s.provider_cancel_due)
$$;

comment on function unstuck.step_cancelled_v1 is $c$
Caller: the edge, after it cancelled a task at the provider.

Effect: takes the task out of the step's cancel debt. remaining: how many cancels the step still
owes.

Refuses: nothing; no row where there is no such step.

Replay: changes nothing.
$c$;

revoke all on function unstuck.step_cancelled_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_cancelled_v1 to service_role;
