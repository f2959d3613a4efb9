create or replace function unstuck.job_enqueue_v1(
  p_user_id uuid,
  p_job_id uuid,
  p_tool text,
  p_session_id text,
  p_input jsonb,
  p_request_hash text,
  p_steps jsonb
)
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
  credits_refunded bigint
)
language sql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
  select unstuck_private.refuse_other_deployment();
  select s.job_id, s.status, s.replayed, s.credits_charged, s.balance, s."position", s.eta_seconds,
    s.task_id, s.output_url, s.error_code, s.error_message, s.credits_refunded
  from unstuck.job_enqueue_v2(
    p_user_id, p_job_id, p_tool, p_session_id, p_input, p_request_hash, p_steps, false) s
$$;

comment on function unstuck.job_enqueue_v1 is $c$
Caller: Workers of the version before `job_enqueue_v2`, which does the work.

Effect: takes the price and writes the job with its steps, in one transaction. It adopts an unpaid
row of the same id that an older client inserted.

Refuses: bad_request, idempotency_conflict (the id belongs to another order), already_final (also:
the user cancelled the order before it arrived), tool_disabled, active_job_exists,
insufficient_credits, queue_full. A refusal leaves nothing behind.

Replay: the same id, user, tool and hash get the job's present state and no charge: replayed = true.
$c$;

revoke all on function unstuck.job_enqueue_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_enqueue_v1 to service_role;
