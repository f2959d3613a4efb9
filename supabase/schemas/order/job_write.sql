-- Writes a queued job with its debit and its steps, or overwrites the row that the order adopts.
-- `p_retry_of` is the job that this one retries, null for an order. The caller has locked the
-- account and the wallet, in which the user has `p_balance`. Returns what the wallet took, which is
-- what the job is charged.
create or replace function unstuck_private.job_write(
  p_user_id uuid,
  p_job_id uuid,
  p_tool unstuck.tools,
  p_session_id text,
  p_input jsonb,
  p_request_hash text,
  p_steps jsonb,
  p_price bigint,
  p_balance bigint,
  p_retry_of uuid
)
returns bigint
language plpgsql
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
as
$$
declare
  v_now timestamptz := clock_timestamp();
  v_steps int := jsonb_array_length(p_steps);
  v_expires timestamptz := v_now + unstuck_private.job_lifetime(p_tool.tool, v_steps);
  v_deadline timestamptz := least(v_now + p_tool.queue_ttl, v_expires);
  v_key text := p_tool.exclusive_group || ':' || p_user_id;
  v_taken bigint := unstuck_private.order_debit(
    p_user_id, p_job_id, p_tool.tool, p_price, p_balance);
begin
  perform 1
  from unstuck.jobs j
  where j.id = p_job_id;
  if found then
    -- Adopt the row that an older client inserted: every column of times and credits is
    -- overwritten.
    update unstuck.jobs set
      status = 'queued',
      session_id = coalesce(p_session_id, session_id),
      credits_charged = v_taken,
      credits_refunded = 0,
      refund_rule = p_tool.refund_rule,
      exclusive_key = v_key,
      input = p_input,
      total_steps = v_steps,
      current_step = 0,
      retries = 0,
      quarantined_at = null,
      request_hash = p_request_hash,
      queued_at = v_now,
      created_at = v_now,
      started_at = null,
      deadline_at = v_deadline,
      expires_at = v_expires,
      completed_at = null,
      waited_in_queue = false,
      output = null,
      output_url = null,
      error_code = null,
      error_message = null
    where id = p_job_id
      and user_id = p_user_id
      and request_hash is null;
  end if;
  if not found then
    insert into unstuck.jobs (
      id, tool, user_id, session_id, status, credits_charged, refund_rule, exclusive_key, input,
      total_steps, request_hash, retry_of, queued_at, created_at, deadline_at, expires_at
    )
    values (
      p_job_id, p_tool.tool, p_user_id, p_session_id, 'queued', v_taken, p_tool.refund_rule,
      v_key, p_input, v_steps, p_request_hash, p_retry_of, v_now, v_now, v_deadline, v_expires
    );
  end if;
  insert into unstuck.job_steps (job_id, step, status, provider, share, deadline_at, input)
  select
    p_job_id,
    s.step,
    case when s.step > 1 and p_tool.step_order = 'sequential' then 'blocked' else 'queued' end,
    p_tool.provider,
    unstuck_private.share_of(v_taken, v_steps, s.step::int),
    case
      when s.step > 1 and p_tool.step_order = 'sequential' then v_expires
      else v_deadline
    end,
    s.input
  from jsonb_array_elements(p_steps) with ordinality as s (input, step);
  return v_taken;
end $$;

revoke all on function unstuck_private.job_write from public, anon, authenticated, service_role;
