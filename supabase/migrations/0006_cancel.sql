-- Cancels: by the user, by the session that closes, by an admin; the admin's requeue, and the retry of a stale website. Each
-- cancel wins over a pending retry and returns what was charged in the same transaction. Telling the provider is owed in
-- `provider_cancel_due`.

-- Refuses a table name the product does not have, then a job that is not in that table.
create or replace function private.job_in_table(p_job public.jobs, p_table text) returns void
language plpgsql set search_path = '' as
$$
begin
  if p_table is null or p_table not in (select t.table_name from public.tools t) then perform private.refuse(400, 'bad_request'); end if;
  if p_job.id is null or not exists (select from public.tools t where t.tool = p_job.tool and t.table_name = p_table) then
    perform private.refuse(404, 'not_found');
  end if;
end $$;

create or replace function private.refuse_final(p_job public.jobs) returns void
language plpgsql set search_path = '' as
$$
begin
  if private.is_final(p_job.status) then
    perform private.refuse(409, 'already_final', jsonb_build_object('status', p_job.status, 'refundedCredits', p_job.credits_refunded));
  end if;
end $$;

create or replace function public.job_cancel_v1(p_user_id uuid, p_table text, p_job_id uuid)
returns table (status text, refunded_credits int, provider text)
language plpgsql set search_path = '' set statement_timeout = '10s' as
$$
#variable_conflict use_column
declare v_job public.jobs;
begin
  perform private.act_as('user');
  v_job := private.job_lock(p_job_id);
  if v_job.user_id is distinct from p_user_id then v_job := null; end if;
  perform private.job_in_table(v_job, p_table);
  if v_job.error_code = 'ORPHANED' then  -- a sweep's cancel, which its `/run` would take back: now it is its user's
    insert into public.cancelled_requests (user_id, job_id) values (p_user_id, p_job_id) on conflict do nothing;
    update public.jobs set error_code = 'CANCELLED', error_message = 'CANCELLED: cancelled by the user.' where id = p_job_id;
    return query select 'cancelled', 0, t.provider from public.tools t where t.tool = v_job.tool; return;
  end if;
  perform private.refuse_final(v_job);
  if v_job.status in ('starting', 'running') and not (select t.user_cancel_running from public.tools t where t.tool = v_job.tool) then
    perform private.refuse(409, 'in_progress', jsonb_build_object('status', v_job.status));
  end if;
  insert into public.cancelled_requests (user_id, job_id) values (p_user_id, p_job_id) on conflict do nothing;
  return query
  select c.status, c.refunded, t.provider
  from private.jobs_close(array[p_job_id], array['cancelled'], array['CANCELLED'], array['cancelled by the user.']) c
  join public.tools t using (tool);
end $$;
comment on function public.job_cancel_v1 is 'Caller: cancel of the queue endpoint, for the verified user. Cancels an own waiting job (a running one where the tool allows it) and returns its credits; an orphan that a sweep cancelled is its user''s cancel from then on. Refuses: bad_request, not_found, in_progress, already_final.';

create or replace function public.job_cancel_admin_v1(p_actor uuid, p_table text, p_job_id uuid, p_reason text)
returns table (status text, refunded_credits int, provider text)
language plpgsql set search_path = '' set statement_timeout = '10s' as
$$
#variable_conflict use_column
declare v_job public.jobs;
begin
  if not public.has_role(p_actor, 'admin') then perform private.refuse(403, 'forbidden'); end if;
  perform private.act_as('admin:' || p_actor);
  v_job := private.job_lock(p_job_id);
  perform private.job_in_table(v_job, p_table);
  perform private.refuse_final(v_job);
  return query
  select c.status, c.refunded, t.provider
  from private.jobs_close(array[p_job_id], array['cancelled'], array['CANCELLED'],
    array['cancelled by an admin' || coalesce(': ' || nullif(trim(trailing '.' from trim(p_reason)), ''), '') || '.']) c
  join public.tools t using (tool);
end $$;
comment on function public.job_cancel_admin_v1 is 'Caller: admin-cancel-job. The role is read now, in the same transaction. Cancels a live job of any tool and returns what it was charged. Refuses: forbidden, bad_request, not_found, already_final (with status and refundedCredits: a second call returns nothing more).';

create or replace function public.session_cancel_v1(p_user_id uuid, p_session_id text, p_job_ids uuid[])
returns table (table_name text, job_id uuid, refunded_credits int)
language plpgsql set search_path = '' set statement_timeout = '10s' as
$$
#variable_conflict use_column
declare v_ids uuid[];
begin
  if p_user_id is null or coalesce(p_session_id, '') = '' or cardinality(p_job_ids) > 100 then perform private.refuse(400, 'bad_request'); end if;
  perform private.act_as('user');
  insert into public.credit_accounts (user_id) values (p_user_id) on conflict do nothing;
  perform 1 from public.credit_accounts where user_id = p_user_id for update;
  select array_agg(l.id) into v_ids from (
    select j.id from public.jobs j
    where j.user_id = p_user_id and j.status in ('pending', 'queued') and (j.session_id = p_session_id or j.id = any (p_job_ids))
    order by j.id for update
  ) l;
  -- A named job that has not arrived yet is refused when it does; one that runs or belongs to another is left alone.
  insert into public.cancelled_requests (user_id, job_id)
  select p_user_id, x.id from unnest(coalesce(p_job_ids, '{}') || coalesce(v_ids, '{}')) as x (id)
  where x.id = any (v_ids) or not exists (select from public.jobs j where j.id = x.id and not (j.status = 'cancelled' and j.error_code = 'ORPHANED'))
  on conflict do nothing;
  if v_ids is null then return; end if;
  return query
  select t.table_name, c.job_id, c.refunded
  from private.jobs_close(v_ids, array_fill('cancelled'::text, array[cardinality(v_ids)]), array_fill('CANCELLED'::text, array[cardinality(v_ids)]),
    array_fill('the page was closed.'::text, array[cardinality(v_ids)])) c
  join public.tools t using (tool);
end $$;
comment on function public.session_cancel_v1 is 'Caller: cancel-session, for the verified user. Cancels the caller''s own waiting jobs of that session and those named; a named one that is still to come never runs. Refuses: bad_request. Replay: no rows.';

create or replace function public.job_requeue_v1(p_actor uuid, p_table text, p_job_id uuid, p_charge boolean, p_new_job_id uuid)
returns table (job_id uuid, retried boolean, retry_of uuid, provider text)
language plpgsql set search_path = '' set statement_timeout = '10s' as
$$
#variable_conflict use_column
declare v_job public.jobs; v_tool public.tools; v_now timestamptz; v_balance int; v_price int; v_live uuid; v_steps jsonb;
begin
  if not public.has_role(p_actor, 'admin') then perform private.refuse(403, 'forbidden'); end if;
  perform private.act_as('admin:' || p_actor);
  v_job := private.job_lock(p_job_id);
  perform private.job_in_table(v_job, p_table);
  select * into v_tool from public.tools where tool = v_job.tool;
  v_now := clock_timestamp();
  if private.is_live(v_job.status) then
    if v_job.status = 'pending' or not exists (
      select from public.job_steps s where s.job_id = v_job.id and not private.is_final(s.status)
        and (s.deadline_at <= v_now or s.lease_until <= v_now)) then
      perform private.refuse(409, 'in_progress', jsonb_build_object('status', v_job.status));
    end if;
    -- Finished steps are kept; what is stuck starts over with fresh counters. Its old task, if any, is cancelled.
    update public.jobs j set expires_at = v_now + private.job_span(j.tool, j.total_steps), deadline_at = v_now + v_tool.queue_ttl,
      retries = 0, set_aside_at = null where j.id = v_job.id;
    update public.job_steps s set status = 'queued', attempts = 0, rescues = 0, not_before = null, sent_at = null, started_at = null, claimed_at = null,
      lease_until = null, provider_cancel_due = private.cancel_due_with(s), provider_task_id = null, provider_done_at = null,
      run = s.run + 1, deadline_at = v_now + v_tool.queue_ttl
    where s.job_id = v_job.id and s.status in ('starting', 'running', 'queued');
    update public.job_steps s set deadline_at = j.expires_at from public.jobs j where j.id = s.job_id and s.job_id = v_job.id and s.status = 'blocked';
    perform private.job_follow(array[v_job.id]);
    insert into public.job_events (job_id, event, from_status, to_status, actor)
    select j.id, 'job_requeued', v_job.status, j.status, 'admin:' || p_actor from public.jobs j where j.id = v_job.id;
    return query select v_job.id, true, null::uuid, v_tool.provider; return;
  end if;
  -- A second click while the first click's job lives answers with that job.
  select j.id into v_live from public.jobs j where j.retry_of = v_job.id and private.is_live(j.status);
  if found then return query select v_live, false, v_job.id, v_tool.provider; return; end if;
  select jsonb_agg(s.input order by s.step) into v_steps from public.job_steps s where s.job_id = v_job.id;
  if v_steps is null then perform private.refuse(400, 'bad_request'); end if;
  if v_tool.exclusive_group is not null and exists (select from public.jobs j
      where j.exclusive_key = v_tool.exclusive_group || ':' || v_job.user_id and j.status in ('queued', 'starting', 'running')) then
    perform private.refuse(409, 'active_job_exists');
  end if;
  insert into public.credit_accounts (user_id) values (v_job.user_id) on conflict do nothing;
  select balance into v_balance from public.credit_accounts where user_id = v_job.user_id for update;
  v_price := case when p_charge then v_tool.credit_cost * case v_tool.priced_per when 'step' then jsonb_array_length(v_steps) else 1 end else 0 end;
  if v_balance < v_price then
    perform private.refuse(402, 'insufficient_credits', jsonb_build_object('balance', v_balance, 'required', v_price));
  end if;
  if exists (select from public.jobs j where j.id = p_new_job_id) then perform private.refuse(409, 'idempotency_conflict'); end if;
  perform private.job_write(v_job.user_id, p_new_job_id, v_tool, v_job.session_id, v_job.input, coalesce(v_job.request_hash, 'retry'), v_steps, v_price, v_job.id);
  return query select p_new_job_id, false, v_job.id, v_tool.provider;
end $$;
comment on function public.job_requeue_v1 is 'Caller: admin-retry-job. A live job past its lease or deadline is requeued with fresh counters (retried); a final one becomes a new job for the same user and input, free unless p_charge (retry_of). Refuses: forbidden, bad_request, not_found, in_progress, active_job_exists, insufficient_credits, idempotency_conflict (the new id is taken). Replay while the new job lives: that job.';

-- A website's attempt whose worker stopped: it runs, and nobody holds it. Rows written by others have no lease; their deadline
-- says when.
create or replace function private.is_stale_attempt(p_step public.job_steps, p_now timestamptz) returns boolean
language sql immutable as
$$ select p_step.status = 'running' and p_step.provider_done_at is null and coalesce(p_step.lease_until, p_step.deadline_at) <= p_now $$;

-- No attempt or no time left: the website is given up, in the caller's transaction, which has locked account, job and step.
create or replace function private.generation_give_up(p_job public.jobs, p_step public.job_steps)
returns table (job_status text, refunded int)
language sql set search_path = '' as
$$
  select g.job_status, g.refunded
  from private.step_give_up(p_job, p_step.step, 'TIMEOUT', format('no result after %s attempts.', p_step.attempts)) g
$$;

create or replace function public.generations_stale_v1(p_limit int)
returns table (job_id uuid, tool text, run bigint, retries int, action text, refunded int, remaining int)
language plpgsql set search_path = '' set statement_timeout = '30s' as
$$
#variable_conflict use_column
declare v_row record; v_job public.jobs; v_step public.job_steps; v_now timestamptz := clock_timestamp(); v_reserved interval := interval '45 seconds';
begin
  perform private.act_as('sweep');
  for v_row in
    select s.job_id, s.step, s.run, t.attempt_max, greatest(count(*) over () - p_limit, 0)::int as remaining
    from public.job_steps s join public.jobs j on j.id = s.job_id join public.tools t using (tool)
    where t.table_name = 'generation_history' and s.status = 'running' and private.is_stale_attempt(s, v_now) and j.set_aside_at is null
      and coalesce(s.checked_at, '-infinity') <= v_now - v_reserved
    order by j.user_id, s.job_id limit greatest(p_limit, 0)
  loop
    v_job := private.job_lock(v_row.job_id);
    v_step := private.step_lock(v_row.job_id, v_row.step, v_row.run);
    v_now := clock_timestamp();
    -- Another cleanup, or its owner, came first.
    continue when v_step.job_id is null or not private.is_stale_attempt(v_step, v_now) or v_step.checked_at > v_now - v_reserved;
    if v_step.attempts >= v_row.attempt_max or v_job.expires_at <= v_now then
      return query select v_job.id, v_job.tool, v_row.run, v_job.retries, 'failed', g.refunded, v_row.remaining
      from private.generation_give_up(v_job, v_step) g;
    else
      update public.job_steps s set checked_at = v_now where s.job_id = v_row.job_id and s.step = v_row.step;
      return query select v_job.id, v_job.tool, v_row.run, v_job.retries, 'retry', 0, v_row.remaining;
    end if;
  end loop;
end $$;
comment on function public.generations_stale_v1 is 'Caller: cleanup-stale-generations. Websites whose attempt stopped. action retry: reserved for the caller for 45 s, who calls the function of its tool | failed: no attempt or time left, closed and refunded here. remaining: stale ones beyond p_limit. Replay: what is reserved is not given out again.';

create or replace function public.generation_put_back_v1(p_job_id uuid, p_run bigint)
returns table (applied boolean)
language sql set search_path = '' as
$$
  update public.job_steps s set checked_at = null where s.job_id = p_job_id and s.run = p_run and s.status = 'running' returning true
$$;
comment on function public.generation_put_back_v1 is 'Caller: cleanup-stale-generations, whose call failed: the reservation is undone, so that the next cleanup tries again at once. No row where another attempt has begun.';

create or replace function public.generation_retry_v1(p_job_id uuid, p_tool text, p_user_id uuid default null)
returns table (outcome text, user_id uuid, status text, retries int, refunded int, balance int)
language plpgsql set search_path = '' set statement_timeout = '10s' as
$$
#variable_conflict use_column
declare v_job public.jobs; v_step public.job_steps; v_max int; v_now timestamptz; v_status text; v_refunded int := 0;
begin
  perform private.act_as(case when p_user_id is null then 'service' else 'user' end);
  v_job := private.job_lock(p_job_id);
  if v_job.id is null or v_job.tool <> p_tool or v_job.user_id <> coalesce(p_user_id, v_job.user_id) then perform private.refuse(404, 'not_found'); end if;
  perform private.refuse_final(v_job);
  select * into v_step from public.job_steps s where s.job_id = p_job_id and s.step = 1 for update;
  v_now := clock_timestamp();
  if not found or not private.is_stale_attempt(v_step, v_now) then
    perform private.refuse(409, 'in_progress', jsonb_build_object('status', v_job.status));
  end if;
  select attempt_max into v_max from public.tools where tool = p_tool;
  if v_step.attempts >= v_max or v_job.expires_at <= v_now then
    select g.job_status, g.refunded into v_status, v_refunded from private.generation_give_up(v_job, v_step) g;
  else
    -- Another attempt of the same paid job; what it is about is what the record says.
    update public.jobs set retries = retries + 1 where id = p_job_id;
    update public.job_steps s set status = 'queued', input = v_job.input || s.input, lease_until = null, claimed_at = null, sent_at = null,
      started_at = null, not_before = null, checked_at = null, deadline_at = least(v_now + t.queue_ttl, v_job.expires_at)
    from public.tools t where s.job_id = p_job_id and s.step = 1 and t.tool = p_tool;
    perform private.job_follow(array[p_job_id]);
    insert into public.job_events (job_id, step, run, event, from_status, to_status, actor, detail)
    values (p_job_id, 1, v_step.run, 'generation_retried', 'running', 'queued', case when p_user_id is null then 'service' else 'user' end,
      jsonb_build_object('retry', v_job.retries + 1));
  end if;
  return query
  select case when v_status is null then 'retried' else 'closed' end, j.user_id, j.status, j.retries, v_refunded, coalesce(a.balance, 0)
  from public.jobs j left join public.credit_accounts a using (user_id) where j.id = p_job_id;
end $$;
comment on function public.generation_retry_v1 is 'Caller: the website functions, for retryHistoryId (p_user_id null: the service; the user is the record''s own). A stale attempt goes back to the queue, free, retries + 1. outcome retried | closed (no attempt left: failed and refunded). Refuses: not_found (also another''s or another tool''s), already_final, in_progress. Replay: in_progress.';
