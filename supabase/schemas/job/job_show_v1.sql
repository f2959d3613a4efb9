create or replace function unstuck.job_show_v1(p_user_id uuid, p_job_id uuid) returns jsonb
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
-- However few rows the statistics know, they are read by their indexes.
set enable_seqscan = off
set jit = off
as
$$
declare
  v_job unstuck.jobs;
begin
  perform unstuck_private.refuse_other_deployment();
  select j.*
  into v_job
  from unstuck.jobs j
  where j.id = p_job_id;
  if v_job.user_id is distinct from p_user_id then
    perform unstuck_private.refuse(404, 'not_found');
  end if;
  -- Heal first, so that a job that ran out of time is not shown as live.
  if unstuck_private.is_live(v_job.status) and v_job.deadline_at <= clock_timestamp() then
    perform unstuck.user_heal_v1(p_user_id);
    select j.*
    into v_job
    from unstuck.jobs j
    where j.id = p_job_id;
  end if;
  return unstuck_private.job_shown(v_job);
end $$;

comment on function unstuck.job_show_v1 is $c$
Caller: the function `jobs`, and an order by way of it, for the verified user.

Effect: heals the user's jobs when this one is past its deadline, then answers with the job in the
vocabulary that all tools have in common.

Refuses: not_found, also for a job of another user.

Replay: reads again.
$c$;

revoke all on function unstuck.job_show_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_show_v1 to service_role;
