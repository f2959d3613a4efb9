create or replace function unstuck.webhook_record_v1(
  p_provider text,
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_task_id text,
  p_dedup_key text,
  p_body jsonb
)
returns table (recorded boolean, inbox_id bigint)
language sql
security definer
set search_path = ''
set statement_timeout = '5s'
as
$$
  select unstuck_private.refuse_other_deployment();
  select s.recorded, s.inbox_id
  from unstuck.webhook_record_v2(
    p_provider, p_job_id, p_step, p_run, p_task_id, p_dedup_key, p_body) s
$$;

comment on function unstuck.webhook_record_v1 is $c$
Caller: Workers of the version before `webhook_record_v2`, which does the work.

Effect: stores the webhook; it changes no job.

Refuses: nothing.

Replay: recorded = false, with the id of the webhook that is stored.
$c$;

revoke all on function unstuck.webhook_record_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.webhook_record_v1 to service_role;
