-- From a request to a paid, queued job in one transaction: replay, exclusivity, money, job, steps. Never talks to a
-- provider, never takes a price from a caller.

-- The job's row as the answer of the request that named it. Its place costs a look at the whole queue, so a new job, which
-- is about to be claimed, goes without one.
create or replace function private.enqueue_answer(p_job_id uuid, p_replayed boolean, p_with_place boolean)
returns table (job_id uuid, status text, replayed boolean, credits_charged int, balance int, "position" int, eta_seconds int,
  task_id text, output_url text, error_code text, error_message text, credits_refunded int)
language plpgsql stable set search_path = '' as
$$
#variable_conflict use_column
declare v_provider text; v_place int; v_eta int;
begin
  if p_with_place then
    select t.provider into v_provider from public.jobs j join public.tools t using (tool) where j.id = p_job_id and j.status = 'queued';
    if found then
      select p."position", p.eta_seconds into v_place, v_eta from private.queue_places(v_provider) p where p.job_id = p_job_id;
    end if;
  end if;
  return query
  select j.id, j.status, p_replayed, j.credits_charged, coalesce(a.balance, 0), v_place, v_eta,
    (select s.provider_task_id from public.job_steps s where s.job_id = j.id and s.provider_task_id is not null order by s.step desc limit 1),
    j.output_url, j.error_code, j.error_message, j.credits_refunded
  from public.jobs j left join public.credit_accounts a using (user_id)
  where j.id = p_job_id;
end $$;

-- The largest remainder goes to the first steps, so that the shares add up exactly to the price.
create or replace function private.share_of(p_price int, p_steps int, p_step int) returns int
language sql immutable as
$$ select p_price / p_steps + (p_step <= p_price % p_steps)::int $$;

-- Writes (or, for an adopted row, overwrites) the job with its debit and steps. The account is locked by the caller.
create or replace function private.job_write(p_user_id uuid, p_job_id uuid, p_tool public.tools, p_session_id text, p_input jsonb,
  p_request_hash text, p_steps jsonb, p_price int, p_retry_of uuid) returns void
language plpgsql set search_path = '' as
$$
declare
  v_now timestamptz := clock_timestamp();
  v_steps int := jsonb_array_length(p_steps);
  v_expires timestamptz := v_now + private.job_span(p_tool.tool, v_steps);
  v_deadline timestamptz := least(v_now + p_tool.queue_ttl, v_expires);
  v_key text := p_tool.exclusive_group || ':' || p_user_id;
begin
  -- An older client's own row is adopted: every time and money column is overwritten.
  update public.jobs set status = 'queued', session_id = coalesce(p_session_id, session_id), credits_charged = p_price, credits_refunded = 0,
    refund_rule = p_tool.refund_rule, exclusive_key = v_key, input = p_input, total_steps = v_steps, current_step = 0, retries = 0,
    request_hash = p_request_hash, queued_at = v_now, created_at = v_now, started_at = null, deadline_at = v_deadline, expires_at = v_expires,
    completed_at = null, waited_in_queue = false, output = null, output_url = null, error_code = null, error_message = null
  where id = p_job_id and user_id = p_user_id and request_hash is null;
  if not found then
    insert into public.jobs (id, tool, user_id, session_id, status, credits_charged, refund_rule, exclusive_key, input, total_steps,
      request_hash, retry_of, queued_at, created_at, deadline_at, expires_at)
    values (p_job_id, p_tool.tool, p_user_id, p_session_id, 'queued', p_price, p_tool.refund_rule, v_key, p_input, v_steps,
      p_request_hash, p_retry_of, v_now, v_now, v_deadline, v_expires);
  end if;
  if p_price > 0 then
    insert into public.credit_entries (user_id, job_id, kind, amount, reason) values (p_user_id, p_job_id, 'debit', -p_price, p_tool.tool);
  end if;
  insert into public.job_steps (job_id, step, status, provider, share, deadline_at, input)
  select p_job_id, s.step, case when s.step > 1 and p_tool.step_order = 'sequential' then 'blocked' else 'queued' end, p_tool.provider,
    private.share_of(p_price, v_steps, s.step::int),
    case when s.step > 1 and p_tool.step_order = 'sequential' then v_expires else v_deadline end, s.input
  from jsonb_array_elements(p_steps) with ordinality as s (input, step);
end $$;

-- By how many seconds a job would wait longer than its tool's patience. Told only from measured durations, and from the
-- job's own place: a long row of one user's jobs refuses nobody else. Who finds a slot free does not wait.
create or replace function private.beyond_patience(p_job_id uuid, p_tool public.tools) returns int
language plpgsql stable set search_path = '' as
$$
declare v_slots int;
begin
  select p.max_concurrent into v_slots from public.providers p where p.provider = p_tool.provider;
  if (select count(*) from (select from public.job_steps s where s.provider = p_tool.provider and s.provider_done_at is null
        and s.status in ('queued', 'starting', 'running') and s.job_id <> p_job_id limit v_slots) s) < v_slots
     or not exists (select from private.tool_seconds(p_tool.provider) t where t.measured) then
    return 0;
  end if;
  return (select p.eta_seconds - extract(epoch from p_tool.queue_ttl)::int from private.queue_places(p_tool.provider) p where p.job_id = p_job_id);
end $$;

create or replace function public.job_enqueue_v1(p_user_id uuid, p_job_id uuid, p_tool text, p_session_id text, p_input jsonb,
  p_request_hash text, p_steps jsonb)
returns table (job_id uuid, status text, replayed boolean, credits_charged int, balance int, "position" int, eta_seconds int,
  task_id text, output_url text, error_code text, error_message text, credits_refunded int)
language plpgsql set search_path = '' set statement_timeout = '10s' as
$$
#variable_conflict use_column
declare v_tool public.tools; v_job public.jobs; v_other public.jobs; v_balance int; v_price int; v_beyond int; v_constraint text;
begin
  perform private.act_as('user');
  select * into v_tool from public.tools where tool = p_tool;
  if not found or p_user_id is null or p_job_id is null or coalesce(p_request_hash, '') = ''
     or jsonb_typeof(p_steps) is distinct from 'array' or jsonb_array_length(p_steps) not between 1 and 20 then
    perform private.refuse(400, 'bad_request');
  end if;
  insert into public.credit_accounts (user_id) values (p_user_id) on conflict do nothing;
  select balance into v_balance from public.credit_accounts where user_id = p_user_id for update;

  -- Replay first: the same id is the same request, whatever has become of it.
  select * into v_job from public.jobs where id = p_job_id for update;
  if found then
    if v_job.user_id <> p_user_id or v_job.tool <> p_tool or (v_job.request_hash is not null and v_job.request_hash <> p_request_hash) then
      perform private.refuse(409, 'idempotency_conflict');
    end if;
    if v_job.request_hash is not null then
      return query select * from private.enqueue_answer(p_job_id, true, true); return;
    end if;
    -- An orphan, whatever word it carries: an older client's own insert, or a row by hand without a step.
    if not (v_job.status = 'pending' or (v_job.status = 'cancelled' and v_job.error_code = 'ORPHANED')
        or (v_job.status = 'queued' and not exists (select from public.job_steps s where s.job_id = p_job_id))) then
      perform private.refuse(409, 'already_final', jsonb_build_object('status', v_job.status, 'refundedCredits', v_job.credits_refunded));
    end if;
  end if;
  if exists (select from public.cancelled_requests c where c.user_id = p_user_id and c.job_id = p_job_id) then
    perform private.refuse(409, 'already_final', jsonb_build_object('status', 'cancelled', 'refundedCredits', 0));
  end if;
  if not v_tool.enabled then perform private.refuse(503, 'tool_disabled'); end if;

  -- Then exclusivity. The account's lock makes it exact for one user; the unique index holds whatever else writes. A row
  -- written by hand counts once it works: one that waits may be an orphan, and blocks nobody.
  if v_tool.exclusive_group is not null then
    select j.* into v_other from public.jobs j join public.tools t using (tool)
    where j.user_id = p_user_id and t.exclusive_group = v_tool.exclusive_group and j.id <> p_job_id and j.set_aside_at is null
      and (j.status in ('starting', 'running') or (j.status = 'queued' and j.exclusive_key is not null));
    if found then
      perform private.refuse(409, 'active_job_exists', jsonb_build_object('activeJobId', v_other.id, 'activeTool', v_other.tool, 'activeStatus', v_other.status));
    end if;
  end if;
  -- Then money.
  v_price := v_tool.credit_cost * case v_tool.priced_per when 'step' then jsonb_array_length(p_steps) else 1 end;
  if v_balance < v_price then
    perform private.refuse(402, 'insufficient_credits', jsonb_build_object('balance', v_balance, 'required', v_price));
  end if;
  begin  -- '' is how some servers of the PostgREST protocol pass a null
    perform private.job_write(p_user_id, p_job_id, v_tool, nullif(p_session_id, ''), p_input, p_request_hash, p_steps, v_price, null);
  exception when unique_violation then  -- another user took this id, or somebody wrote a live row, at the same moment
    get stacked diagnostics v_constraint = constraint_name;
    perform private.refuse(409, case v_constraint when 'jobs_one_live_per_exclusive_key' then 'active_job_exists' else 'idempotency_conflict' end);
  end;
  v_beyond := private.beyond_patience(p_job_id, v_tool);
  if v_beyond > 0 then perform private.refuse(503, 'queue_full', jsonb_build_object('retry_after', v_beyond)); end if;
  return query select * from private.enqueue_answer(p_job_id, false, false);
end $$;
comment on function public.job_enqueue_v1 is 'Caller: the function that creates the tool''s jobs. One transaction: debit, job, steps; adopts a pending row of the same id. Refuses: bad_request, idempotency_conflict, already_final, tool_disabled, active_job_exists, queue_full, insufficient_credits; a refusal leaves nothing behind. Replay: same id, user and hash: the job''s present state, replayed = true, no charge.';
