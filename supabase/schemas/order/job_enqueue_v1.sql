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
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
declare
  v_tool unstuck.tools;
  v_job unstuck.jobs;
  v_other unstuck.jobs;
  v_balance bigint;
  v_price bigint;
  v_seconds_over int;
  v_constraint text;
begin
  perform unstuck_private.act_as('user');
  select t.*
  into v_tool
  from unstuck.tools t
  where t.tool = p_tool;
  if not found
    or p_user_id is null
    or p_job_id is null
    or coalesce(p_request_hash, '') = ''
    or jsonb_typeof(p_steps) is distinct from 'array'
    or jsonb_array_length(p_steps) not between 1 and 20
  then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  v_balance := unstuck_private.account_lock(p_user_id);

  -- Replay first: the same id is the same request, whatever has become of it.
  select j.*
  into v_job
  from unstuck.jobs j
  where j.id = p_job_id
  for update;
  if found then
    if v_job.user_id <> p_user_id
      or v_job.tool <> p_tool
      or (v_job.request_hash is not null and v_job.request_hash <> p_request_hash)
    then
      perform unstuck_private.refuse(409, 'idempotency_conflict');
    end if;
    if v_job.request_hash is not null then
      return query
      select *
      from unstuck_private.job_state(p_job_id, true, true);
      return;
    end if;
    -- Adopt an orphan, whatever its status says: the row that an older client inserted itself, or
    -- a row written by hand that has no step.
    if not (
      v_job.status = 'pending'
      or (v_job.status = 'cancelled' and v_job.error_code = 'ORPHANED')
      or (
        v_job.status = 'queued'
        and not exists (select from unstuck.job_steps s where s.job_id = p_job_id)
      )
    ) then
      perform unstuck_private.refuse(
        409,
        'already_final',
        jsonb_build_object('status', v_job.status, 'refundedCredits', v_job.credits_refunded)
      );
    end if;
  end if;
  if exists (
    select from unstuck.cancelled_requests c
    where c.user_id = p_user_id
      and c.job_id = p_job_id
  ) then
    perform unstuck_private.refuse(
      409,
      'already_final',
      jsonb_build_object('status', 'cancelled', 'refundedCredits', 0)
    );
  end if;
  if not v_tool.enabled then
    perform unstuck_private.refuse(503, 'tool_disabled');
  end if;

  -- Then exclusivity. The lock on the account makes this check exact for one user; the unique index
  -- stops every other writer. A row written by hand counts once it works: while it waits it may be
  -- an orphan, which blocks nobody.
  if v_tool.exclusive_group is not null then
    select j.*
    into v_other
    from unstuck.jobs j
    join unstuck.tools t using (tool)
    where j.user_id = p_user_id
      and t.exclusive_group = v_tool.exclusive_group
      and j.id <> p_job_id
      and j.quarantined_at is null
      and (
        j.status in ('starting', 'running')
        or (j.status = 'queued' and j.exclusive_key is not null)
      );
    if found then
      perform unstuck_private.refuse(
        409,
        'active_job_exists',
        jsonb_build_object(
          'activeJobId', v_other.id,
          'activeTool', v_other.tool,
          'activeStatus', v_other.status
        )
      );
    end if;
  end if;

  -- Then money.
  v_price := v_tool.credit_cost
    * case v_tool.priced_per when 'step' then jsonb_array_length(p_steps) else 1 end;
  if v_balance < v_price then
    perform unstuck_private.refuse(
      402,
      'insufficient_credits',
      jsonb_build_object('balance', v_balance, 'required', v_price)
    );
  end if;
  begin
    perform unstuck_private.job_write(
      p_user_id,
      p_job_id,
      v_tool,
      -- Some servers of the PostgREST protocol pass a null as ''.
      nullif(p_session_id, ''),
      p_input,
      p_request_hash,
      p_steps,
      v_price,
      null
    );
  exception when unique_violation then
    -- Another user took this id, or somebody wrote a live row, at the same moment.
    get stacked diagnostics v_constraint = constraint_name;
    perform unstuck_private.refuse(
      409,
      case v_constraint
        when 'jobs_one_live_per_exclusive_key' then 'active_job_exists'
        else 'idempotency_conflict'
      end
    );
  end;
  v_seconds_over := unstuck_private.seconds_over_queue_ttl(p_job_id, v_tool);
  if v_seconds_over > 0 then
    perform unstuck_private.refuse(
      503,
      'queue_full',
      jsonb_build_object('retry_after', v_seconds_over)
    );
  end if;
  return query
  select *
  from unstuck_private.job_state(p_job_id, false, false);
end $$;

comment on function unstuck.job_enqueue_v1 is $c$
Caller: the function that creates the tool's jobs.

Effect: takes the price and writes the job with its steps, in one transaction; adopts a pending row
of the same id.

Refuses: bad_request, idempotency_conflict, already_final, tool_disabled, active_job_exists,
queue_full, insufficient_credits. A refusal leaves nothing behind.

Replay: the same id, user and hash get the job's present state, replayed = true, and no charge.
$c$;

revoke all on function unstuck.job_enqueue_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_enqueue_v1 to service_role;
