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
language plpgsql
security definer
set search_path = ''
set statement_timeout = '5s'
as
$$
declare
  v_id bigint;
begin
  insert into unstuck.webhook_inbox (provider, job_id, step, run, task_id, dedup_key, body)
  values (p_provider, p_job_id, p_step, p_run, nullif(p_task_id, ''), p_dedup_key, p_body)
  on conflict (provider, dedup_key) do nothing
  returning id into v_id;
  if found then
    return query
    select true, v_id;
    return;
  end if;
  return query
  select false, w.id
  from unstuck.webhook_inbox w
  where w.provider = p_provider
    and w.dedup_key = p_dedup_key;
end $$;

comment on function unstuck.webhook_record_v1 is $c$
Caller: provider-webhook, after it verified the token.

Effect: stores the webhook; it changes no job.

Refuses: nothing.

Replay: recorded = false, with the id of the webhook that is stored.
$c$;

revoke all on function unstuck.webhook_record_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.webhook_record_v1 to service_role;
