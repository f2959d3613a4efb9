create or replace function unstuck.webhook_record_v2(
  p_provider text,
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_task_id text,
  p_dedup_key text,
  p_body jsonb
)
returns table (recorded boolean, inbox_id bigint, step jsonb)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '5s'
-- However few rows the statistics know, they are read by their indexes.
set enable_seqscan = off
set jit = off
as
$$
declare
  v_id bigint;
  v_is_new boolean;
  v_step jsonb;
begin
  perform unstuck_private.refuse_other_deployment();
  insert into unstuck.webhook_inbox (provider, job_id, step, run, task_id, dedup_key, body)
  values (p_provider, p_job_id, p_step, p_run, nullif(p_task_id, ''), p_dedup_key, p_body)
  on conflict (provider, dedup_key) do nothing
  returning id into v_id;
  v_is_new := found;
  if not found then
    select w.id
    into v_id
    from unstuck.webhook_inbox w
    where w.provider = p_provider
      and w.dedup_key = p_dedup_key;
  end if;
  select to_jsonb(s) - 'output'
  into v_step
  from unstuck.step_get_v1(p_job_id, p_step) s;
  return query
  select v_is_new, v_id, v_step;
end $$;

comment on function unstuck.webhook_record_v2 is $c$
Caller: provider-webhook, after it verified the token.

Effect: stores the webhook; it changes no job. step: the step as `step_get_v1` returns it, without
its output.

Refuses: nothing.

Replay: recorded = false, with the id of the webhook that is stored.
$c$;

revoke all on function unstuck.webhook_record_v2 from public, anon, authenticated, service_role;
grant execute on function unstuck.webhook_record_v2 to service_role;
