create or replace function unstuck.job_enqueue_v2(
  p_user_id uuid,
  p_job_id uuid,
  p_tool text,
  p_session_id text,
  p_input jsonb,
  p_request_hash text,
  p_steps jsonb,
  p_claim boolean,
  p_max_credits bigint default null,
  p_measured jsonb default null,
  p_can_measure boolean default false
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
  credits_refunded bigint,
  claimed jsonb,
  unmeasured text
)
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
  v_tool unstuck.tools;
  v_job unstuck.jobs;
  v_own record;
  v_price bigint;
  v_balance bigint;
  v_taken bigint;
  v_constraint text;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as('user');
  select t.*
  into v_tool
  from unstuck.tools t
  where t.tool = p_tool;
  if not found
    or num_nulls(p_user_id, p_job_id, nullif(p_request_hash, '')) > 0
    or jsonb_typeof(p_steps) is distinct from 'array'
    or jsonb_array_length(p_steps) not between 1 and 20
  then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  perform unstuck_private.account_lock(p_user_id);
  -- Replay comes first: the same id is the same order, whatever has become of its job.
  select j.*
  into v_job
  from unstuck.jobs j
  where j.id = p_job_id
  for update;
  if found then
    perform unstuck_private.refuse_other_order(v_job, p_user_id, p_tool, p_request_hash);
    if v_job.request_hash is not null then
      return query
      select s.*, case when p_claim then unstuck_private.order_claimed(p_job_id) end, null::text
      from unstuck_private.job_state(p_job_id) s;
      return;
    end if;
    perform unstuck_private.refuse_adoption(v_job);
  end if;
  perform unstuck_private.refuse_cancelled_request(p_user_id, p_job_id);
  if not v_tool.enabled then
    perform unstuck_private.refuse(503, 'tool_disabled');
  end if;
  perform unstuck_private.refuse_second_live_job(p_user_id, p_job_id, v_tool);
  v_own := unstuck_private.order_price(v_tool, p_input, jsonb_array_length(p_steps), p_measured);
  if v_own.unmeasured is not null and p_can_measure then
    return query
    select u.*
    from unstuck_private.order_unmeasured(p_job_id, v_own.unmeasured) u;
    return;
  end if;
  v_price := unstuck_private.price_agreed(p_user_id, p_tool, p_input, v_own.credits, p_max_credits);
  v_balance := unstuck_private.refuse_over_balance(p_user_id, p_tool, v_price);
  begin
    -- Some servers of the PostgREST protocol pass a null as ''.
    v_taken := unstuck_private.job_write(p_user_id, p_job_id, v_tool, nullif(p_session_id, ''),
      p_input, p_request_hash, p_steps, v_price, v_balance, null);
  exception when unique_violation then
    -- Another user took this id, or another writer inserted a live row, at the same moment.
    get stacked diagnostics v_constraint = constraint_name;
    perform unstuck_private.refuse_second_live_job(p_user_id, p_job_id, v_tool);
    perform unstuck_private.refuse(409, case when v_constraint = 'jobs_one_live_per_exclusive_key'
      then 'active_job_exists' else 'idempotency_conflict' end);
  end;
  perform unstuck_private.refuse_full_queue(p_job_id, v_tool);
  -- The reply shows the job as it was ordered.
  return query
  select p_job_id, 'queued', false, v_taken, v_balance - v_taken, null::int, null::int, null::text,
    null::text, null::text, null::text, 0::bigint,
    case when p_claim then unstuck_private.order_claim(p_job_id) end, null::text;
end $$;

comment on function unstuck.job_enqueue_v2 is $c$
Caller: the function that creates the tool's jobs, for the verified user.

Effect: takes the price and writes the job with its steps, in one transaction. It adopts an unpaid
row of the same id that an older client inserted. With p_claim the first step is claimed at once
where a slot is free and nobody waits for it; claimed: that step, as `step_claim_v1` returns it. The
other columns show the job as it was ordered.

With p_can_measure an order whose price is by seconds or megapixels of its files, which p_measured
does not say, is not written: unmeasured names the unit, and the caller repeats the order with what
it measured. What could not be measured costs the rule's largest. A Worker of the version before,
which says neither, is charged the rule's credits_min, or the largest where it has none.

Refuses: bad_request, idempotency_conflict (the id belongs to another order), already_final (also:
the user cancelled the order before it arrived), tool_disabled, active_job_exists, price_changed
(dearer than p_max_credits), insufficient_credits, queue_full. A refusal leaves nothing behind.

Replay: the same id, user, tool and hash get the job's present state and no charge: replayed = true,
whatever the price is now.
claimed: the step with a new run, while no worker has sent it.
$c$;

revoke all on function unstuck.job_enqueue_v2 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_enqueue_v2 to service_role;
