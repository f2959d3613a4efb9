-- Returns up to `p_limit` webhooks that nobody has applied for half a minute and that name a task
-- of a run before the present one, or of a run that was requeued. Such a task may have succeeded,
-- and no step has it any more.
create or replace function unstuck_private.webhooks_of_earlier_runs(
  p_provider text,
  p_now timestamptz,
  p_limit int
)
returns table (job_id uuid, step int, run bigint, task_id text)
language plpgsql
stable
set search_path = ''
as
$$
#variable_conflict use_column
begin
  return query
  select i.job_id, i.step, i.run, i.task_id
  from unstuck.webhook_inbox i
  join unstuck.job_steps s on s.job_id = i.job_id and s.step = i.step
  where i.provider = p_provider
    and i.applied_at is null
    and i.task_id is not null
    and i.received_at <= p_now - interval '30 seconds'
    and s.status in ('queued', 'starting', 'running')
    and s.provider_done_at is null
    and (i.run < s.run or s.status = 'queued')
  order by i.received_at
  limit p_limit;
end $$;

revoke all on function unstuck_private.webhooks_of_earlier_runs
from public, anon, authenticated, service_role;
