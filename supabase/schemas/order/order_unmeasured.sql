-- Returns the reply of `job_enqueue_v2` to an order that it did not write, because the price
-- depends on files whose `p_unit` nobody has measured.
create or replace function unstuck_private.order_unmeasured(p_job_id uuid, p_unit text)
returns table (
  job_id uuid,
  status text,
  replayed boolean,
  credits_charged bigint,
  balance bigint,
  "position" int,
  eta_seconds int,
  task_id text,
  output_url text,
  error_code text,
  error_message text,
  credits_refunded bigint,
  claimed jsonb,
  unmeasured text
)
language sql
immutable
as
$$
  select p_job_id, 'pending', false, 0::bigint, 0::bigint, null::int, null::int, null::text,
    null::text, null::text, null::text, 0::bigint, null::jsonb, p_unit
$$;

revoke all on function unstuck_private.order_unmeasured
from public, anon, authenticated, service_role;
