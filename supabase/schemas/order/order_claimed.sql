-- The first step of an order as `order_claim` answered it, where no worker has sent it: an answer
-- to the order was lost, and the step is still to be submitted. Null for any other.
create or replace function unstuck_private.order_claimed(p_job_id uuid) returns jsonb
language sql
stable
set search_path = ''
as
$$
  select jsonb_build_object(
    'job_id', s.job_id,
    'step', s.step,
    'run', s.run,
    'tool', j.tool,
    'user_id', j.user_id,
    'attempts', s.attempts,
    'input', s.input,
    'previous_output_url', null,
    'run_ms', greatest(
      ceil(
        extract(
          epoch from least(t.run_timeout, j.expires_at - clock_timestamp())
        ) * 1000
      ),
      0
    )
  )
  from unstuck.job_steps s
  join unstuck.jobs j on j.id = s.job_id
  join unstuck.tools t on t.tool = j.tool
  where s.job_id = p_job_id
    and s.step = 1
    and s.run = 1
    and s.status = 'starting'
    and s.sent_at is null
    and s.lease_until > clock_timestamp()
$$;

revoke all on function unstuck_private.order_claimed
from public, anon, authenticated, service_role;
