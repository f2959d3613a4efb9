-- Returns the claimed first step of an order once more, as `order_claim` did, if no worker has sent
-- it and its lease lasts: an answer to the order was lost, and the step is still to be submitted.
-- The step gets a new run, so that a worker of the first request no longer submits it. Null for a
-- step in any other state. The caller has locked the job.
create or replace function unstuck_private.order_claimed(p_job_id uuid) returns jsonb
language plpgsql
set search_path = ''
as
$$
declare
  v_claimed jsonb;
begin
  update unstuck.job_steps s
  set run = s.run + 1
  from unstuck.jobs j
  join unstuck.tools t using (tool)
  cross join clock_timestamp() as n (now)
  where s.job_id = p_job_id
    and s.step = 1
    and s.status = 'starting'
    and s.sent_at is null
    and s.lease_until > clock_timestamp()
    and j.id = s.job_id
  returning jsonb_build_object(
    'job_id', s.job_id,
    'step', s.step,
    'run', s.run,
    'tool', j.tool,
    'user_id', j.user_id,
    'attempts', greatest(s.attempts, 0),
    'input', s.input,
    'previous_output_url', null,
    'run_ms', ceil(
      extract(
        epoch from greatest(least(n.now + t.run_timeout, j.expires_at), n.now) - n.now
      ) * 1000
    )
  )
  into v_claimed;
  return v_claimed;
end $$;

revoke all on function unstuck_private.order_claimed
from public, anon, authenticated, service_role;
