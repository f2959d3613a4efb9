-- The private core every public function is built from: clocks, row defaults, history, money on closing.
-- Nothing here is callable over the API, and nothing here asks a provider.

-- The fixed intervals. Tests replace this one function instead of sleeping.
create or replace function private.intervals()
returns table (orphan interval, grace interval, sql_wait interval, lease interval, check_every interval)
language sql stable as
$$ select interval '2 minutes', interval '2 minutes', interval '3 minutes', interval '90 seconds', interval '30 seconds' $$;

-- The small rules below name no table, so they go without a fixed search_path: that lets the planner inline them.
create or replace function private.is_live(p_status text) returns boolean
language sql immutable as
$$ select p_status in ('pending', 'queued', 'starting', 'running') $$;

create or replace function private.is_final(p_status text) returns boolean
language sql immutable as
$$ select p_status in ('completed', 'failed', 'cancelled') $$;

-- The longest a job of this tool may live: queue, then what must run in sequence, with every attempt of a synchronous provider.
create or replace function private.tool_span(p_tool public.tools, p_provider public.providers, p_steps int) returns interval
language sql immutable as
$$
  select p_tool.queue_ttl + p_tool.run_timeout * (case p_tool.step_order when 'sequential' then greatest(p_steps, 1) else 1 end)
    * (case when p_provider.synchronous then p_tool.attempt_max else 1 end)
$$;

create or replace function private.job_span(p_tool text, p_steps int) returns interval
language sql stable set search_path = '' as
$$
  select private.tool_span(t, p, p_steps) from public.tools t join public.providers p using (provider) where t.tool = p_tool
$$;

-- Who acts, for the history written by the triggers below.
create or replace function private.act_as(p_actor text) returns void
language sql set search_path = '' as
$$ select set_config('unstuck.actor', p_actor, true) $$;

-- Defaults for whatever a writer leaves out, so that no live row is ever without a deadline.
create or replace function private.jobs_before_insert() returns trigger
language plpgsql set search_path = '' as
$$
declare v_tool public.tools; v_from timestamptz;
begin
  select * into v_tool from public.tools where tool = new.tool;
  if not found then return new; end if;  -- the foreign key refuses it
  new.refund_rule := coalesce(new.refund_rule, v_tool.refund_rule);
  v_from := coalesce(new.started_at, new.created_at);
  new.expires_at := coalesce(new.expires_at, v_from + private.job_span(new.tool, new.total_steps));
  new.deadline_at := coalesce(new.deadline_at, case new.status
    when 'pending' then v_from + (select orphan from private.intervals())
    when 'queued' then v_from + v_tool.queue_ttl
    else v_from + v_tool.run_timeout end);
  if private.is_final(new.status) then new.completed_at := coalesce(new.completed_at, new.updated_at); end if;
  return new;
end $$;

create or replace trigger jobs_before_insert before insert on public.jobs
for each row execute function private.jobs_before_insert();

create or replace function private.job_steps_before_insert() returns trigger
language plpgsql set search_path = '' as
$$
declare v_job public.jobs; v_tool public.tools;
begin
  select * into v_job from public.jobs where id = new.job_id;
  if not found then return new; end if;  -- the foreign key refuses it
  select * into v_tool from public.tools where tool = v_job.tool;
  new.provider := coalesce(new.provider, v_tool.provider);
  new.deadline_at := coalesce(new.deadline_at, case
    when new.status = 'blocked' then v_job.expires_at
    when new.status = 'queued' then v_job.deadline_at
    else coalesce(new.sent_at, new.started_at, v_job.started_at, v_job.created_at) + v_tool.run_timeout end);
  if private.is_final(new.status) then new.completed_at := coalesce(new.completed_at, clock_timestamp()); end if;
  return new;
end $$;

create or replace trigger job_steps_before_insert before insert on public.job_steps
for each row execute function private.job_steps_before_insert();

-- Final states are absorbing. The one way back: an orphan that a sweep cancelled may still be adopted by its `/run`.
create or replace function private.jobs_before_update() returns trigger
language plpgsql set search_path = '' as
$$
begin
  if private.is_final(old.status) and new.status is distinct from old.status
     and not (old.status = 'cancelled' and old.error_code = 'ORPHANED' and new.status = 'queued') then
    raise exception 'job % is final (%), it cannot become %', old.id, old.status, new.status using errcode = 'check_violation';
  end if;
  new.updated_at := clock_timestamp();
  return new;
end $$;

create or replace trigger jobs_before_update before update on public.jobs
for each row execute function private.jobs_before_update();

create or replace function private.job_steps_before_update() returns trigger
language plpgsql set search_path = '' as
$$
begin
  if private.is_final(old.status) and new.status is distinct from old.status then
    raise exception 'step %/% is final (%), it cannot become %', old.job_id, old.step, old.status, new.status using errcode = 'check_violation';
  end if;
  -- The healers find a job by its own deadline: a working step's, moved back by hand, moves it too.
  if new.deadline_at < old.deadline_at and (new.status, new.run) = (old.status, old.run) and new.status in ('starting', 'running') then
    update public.jobs set deadline_at = new.deadline_at where id = new.job_id and deadline_at > new.deadline_at and private.is_live(status);
  end if;
  return new;
end $$;

create or replace trigger job_steps_before_update before update on public.job_steps
for each row execute function private.job_steps_before_update();

-- A limit lowered while full is no offence: steps claimed before it was lowered are told apart by this time.
create or replace function private.providers_before_update() returns trigger
language plpgsql set search_path = '' as
$$
begin
  if new.max_concurrent < old.max_concurrent then new.limit_changed_at := clock_timestamp(); end if;
  return new;
end $$;

create or replace trigger providers_before_update before update on public.providers
for each row execute function private.providers_before_update();

-- History: one event per transition, written set-wise by the statement that made it. The planner cannot know how many rows
-- a transition table will hold; nested loops over two of them would cost the square of a sweep's page.
create or replace function private.jobs_log() returns trigger
language plpgsql set search_path = '' set enable_nestloop = off as
$$
begin
  if tg_op = 'INSERT' then
    insert into public.job_events (job_id, event, to_status, actor)
    select n.id, 'job_created', n.status, nullif(current_setting('unstuck.actor', true), '') from new_rows n;
  else
    insert into public.job_events (job_id, event, from_status, to_status, actor, detail)
    select n.id, 'job_' || n.status, o.status, n.status, nullif(current_setting('unstuck.actor', true), ''),
      case when n.error_code is not null then jsonb_build_object('error_code', n.error_code) end
    from new_rows n join old_rows o using (id) where n.status <> o.status;
  end if;
  return null;
end $$;

create or replace trigger jobs_log_insert after insert on public.jobs
referencing new table as new_rows for each statement execute function private.jobs_log();
create or replace trigger jobs_log_update after update on public.jobs
referencing old table as old_rows new table as new_rows for each statement execute function private.jobs_log();

create or replace function private.job_steps_log() returns trigger
language plpgsql set search_path = '' set enable_nestloop = off as
$$
begin
  insert into public.job_events (job_id, step, run, event, from_status, to_status, actor, detail)
  select n.job_id, n.step, n.run, case when n.status <> o.status then 'step_' || n.status else 'step_rerun' end, o.status, n.status,
    nullif(current_setting('unstuck.actor', true), ''),
    case when n.error_code is not null then jsonb_build_object('error_code', n.error_code) end
  from new_rows n join old_rows o using (job_id, step)
  where n.status <> o.status or n.run <> o.run;
  return null;
end $$;

create or replace trigger job_steps_log after update on public.job_steps
referencing old table as old_rows new table as new_rows for each statement execute function private.job_steps_log();

-- The account follows the ledger. An entry written without `balance_after` moves the balance here; the set-based
-- functions below have computed both already.
create or replace function private.credit_entries_before_insert() returns trigger
language plpgsql set search_path = '' as
$$
begin
  if new.balance_after is null then
    insert into public.credit_accounts (user_id, balance) values (new.user_id, 0) on conflict do nothing;
    update public.credit_accounts set balance = balance + new.amount where user_id = new.user_id returning balance into new.balance_after;
  end if;
  return new;
end $$;

create or replace trigger credit_entries_before_insert before insert on public.credit_entries
for each row execute function private.credit_entries_before_insert();

create or replace function private.append_only() returns trigger
language plpgsql set search_path = '' as
$$ begin raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation'; end $$;

create or replace trigger credit_entries_append_only before update on public.credit_entries
for each row execute function private.append_only();

-- A ledger goes whole, with its user, or not at all: what is taken out of its middle would be missing from the balance.
create or replace function private.credit_entries_after_delete() returns trigger
language plpgsql set search_path = '' as
$$
begin
  if exists (select from old_rows o join public.credit_entries e using (user_id)) then
    raise exception 'credit_entries is append-only' using errcode = 'restrict_violation';
  end if;
  update public.credit_accounts a set balance = 0 from old_rows o where a.user_id = o.user_id;
  return null;
end $$;

create or replace trigger credit_entries_whole after delete on public.credit_entries
referencing old table as old_rows for each statement execute function private.credit_entries_after_delete();

-- What the job's own steps say it is. Only for live jobs; the closing functions write final states themselves.
create or replace function private.job_follow(p_job_ids uuid[]) returns void
language plpgsql set search_path = '' as
$$
begin
  update public.jobs j set
    status = s.status,
    current_step = s.current_step,
    deadline_at = least(coalesce(s.deadline_at, j.deadline_at), j.expires_at),
    started_at = case when s.worked then coalesce(j.started_at, s.started_at) end
  from (
    select st.job_id,
      case when bool_or(st.status in ('running', 'completed', 'failed')) then 'running'
           when bool_or(st.status = 'starting') then 'starting' else 'queued' end as status,
      count(*) filter (where st.status in ('completed', 'failed'))
        + (max(t.step_order) = 'sequential' and bool_or(st.status in ('starting', 'running')))::int as current_step,
      coalesce(min(st.deadline_at) filter (where st.status in ('starting', 'running')),
               max(st.deadline_at) filter (where st.status = 'queued')) as deadline_at,
      bool_or(st.started_at is not null or st.sent_at is not null) as worked,
      min(coalesce(st.started_at, st.sent_at)) as started_at
    from public.job_steps st join public.jobs jj on jj.id = st.job_id join public.tools t using (tool)
    where st.job_id = any (p_job_ids) group by st.job_id
  ) s
  where j.id = s.job_id and private.is_live(j.status);
end $$;

-- The cancels owed to the provider once this step is closed: its task, if the provider has one and is still at it.
create or replace function private.cancel_due_with(p_step public.job_steps) returns jsonb
language sql immutable as
$$
  select case when p_step.sent_at is not null and p_step.provider_done_at is null and p_step.provider_task_id is not null
    then p_step.provider_cancel_due || jsonb_build_object('task_id', p_step.provider_task_id, 'run', p_step.run)
    else p_step.provider_cancel_due end
$$;

-- Closes live jobs with everything that belongs to it in one statement: steps, refunds, balances, the rows themselves.
-- The caller has locked the accounts (by id) and then the jobs. What the ledger shows is what is returned.
create or replace function private.jobs_close(p_ids uuid[], p_statuses text[], p_codes text[], p_messages text[])
returns table (job_id uuid, tool text, status text, refunded int)
language plpgsql set search_path = '' as
$$
#variable_conflict use_column
declare v_now timestamptz := clock_timestamp();
begin
  insert into public.credit_accounts (user_id)
  select distinct j.user_id from public.jobs j where j.id = any (p_ids) order by 1
  on conflict do nothing;
  return query
  with closing as (
    select j.id, j.user_id, j.tool, c.status, c.code, c.message,
      case when exists (select from public.job_steps s where s.job_id = j.id) then j.refund_rule else 'all' end as rule,
      coalesce(-l.debit, 0)::int as debit, coalesce(l.refunded, 0)::int as refunded
    from unnest(p_ids, p_statuses, p_codes, p_messages) as c (id, status, code, message)
    join public.jobs j on j.id = c.id
    left join lateral (
      select sum(e.amount) filter (where e.kind = 'debit') as debit, sum(e.amount) filter (where e.kind = 'refund') as refunded
      from public.credit_entries e where e.job_id = j.id and e.kind in ('debit', 'refund')
    ) l on true
    where private.is_live(j.status)
  ), step_closed as (
    update public.job_steps s set
      status = case c.status when 'cancelled' then 'cancelled' else 'failed' end,
      error_code = coalesce(c.code, 'CANCELLED'), error_message = coalesce(c.code, 'CANCELLED') || ': ' || c.message, completed_at = v_now, lease_until = null, checked_at = null,
      provider_cancel_due = private.cancel_due_with(s)
    from closing c
    where s.job_id = c.id and not private.is_final(s.status)
    returning s.job_id
  ), part as (
    -- Shares that do not add up to what was taken (rows written by others) are split anew.
    select c.id, c.user_id, s.step, s.status, case when sum(s.share) over job = c.debit then s.share
      else private.share_of(c.debit, (count(*) over job)::int, (row_number() over (partition by s.job_id order by s.step))::int) end as share
    from closing c join public.job_steps s on s.job_id = c.id
    where c.rule = 'per_step' and c.debit > 0
    window job as (partition by s.job_id)
  ), owed as (
    select c.id, c.user_id, null::int as step, c.debit - c.refunded as amount
    from closing c where c.rule = 'all' and c.status in ('failed', 'cancelled') and c.debit > c.refunded
    union all
    select c.id, c.user_id, c.step, c.share
    from part c
    where c.status <> 'completed' and c.share > 0
      and not exists (select from public.credit_entries e where e.job_id = c.id and e.step = c.step and e.kind = 'refund')
  ), running as (
    select o.*, sum(o.amount) over (partition by o.user_id order by o.id, o.step rows unbounded preceding) as so_far from owed o
  ), entry as (
    insert into public.credit_entries (user_id, job_id, step, kind, amount, balance_after, reason)
    select r.user_id, r.id, r.step, 'refund', r.amount, a.balance + r.so_far, coalesce(c.code, 'refund')
    from running r join closing c using (id) join public.credit_accounts a on a.user_id = r.user_id
    returning user_id, job_id, amount
  ), account as (
    update public.credit_accounts a set balance = a.balance + t.total
    from (select user_id, sum(amount)::int as total from running group by 1) t
    where a.user_id = t.user_id
    returning a.user_id
  ), back as (
    select e.job_id, sum(e.amount)::int as amount from entry e group by 1
  ), closed as (
    update public.jobs j set
      status = c.status,
      credits_charged = c.debit,
      credits_refunded = c.refunded + coalesce(b.amount, 0),
      error_code = case when c.status <> 'completed' then c.code end,
      error_message = case when c.status <> 'completed' then c.code || ': ' || c.message || case when coalesce(b.amount, 0) > 0 then format(' %s credits were returned.', b.amount) else '' end end,
      current_step = case when c.status = 'completed' then j.total_steps else j.current_step end,
      completed_at = v_now, deadline_at = least(j.deadline_at, v_now)
    from closing c left join back b on b.job_id = c.id
    where j.id = c.id
    returning j.id, j.tool, j.status, coalesce(b.amount, 0) as amount
  )
  select closed.id, closed.tool, closed.status, closed.amount from closed;
end $$;

-- One job, locked in order (account, job), for the functions that may move money. Returns null where there is none.
create or replace function private.job_lock(p_job_id uuid) returns public.jobs
language plpgsql set search_path = '' as
$$
declare v_user uuid; v_job public.jobs;
begin
  select user_id into v_user from public.jobs where id = p_job_id;
  if not found then return null; end if;
  insert into public.credit_accounts (user_id) values (v_user) on conflict do nothing;
  perform 1 from public.credit_accounts where user_id = v_user for update;
  select * into v_job from public.jobs where id = p_job_id for update;
  return v_job;
end $$;

-- A refusal: SQLSTATE PTxyz becomes the HTTP status, the message is the API's code, the detail its extra fields.
create or replace function private.refuse(p_status int, p_code text, p_fields jsonb default '{}') returns void
language plpgsql set search_path = '' as
$$
begin
  raise exception using errcode = 'PT' || p_status, message = p_code, detail = p_fields::text;
end $$;

-- When each user was last admitted at a provider; written by the claim, under the provider's lock.
create table if not exists private.queue_turns (
  provider text not null references public.providers,
  user_id uuid not null,
  served_at timestamptz not null,
  primary key (provider, user_id)
);

-- Waiting work of one provider in the order in which it will be admitted. A user stands in the line once, since that user
-- began to wait or was last served, and goes to its end when served: a thousand jobs of one user let everybody else through
-- after each of them. What finishes when does not matter, so that a place shown is the place that counts.
create or replace function private.queue_order(p_provider text, p_now timestamptz)
returns table (job_id uuid, step int, user_id uuid, tool text, ready boolean, place bigint)
language plpgsql stable set search_path = '' as
$$
#variable_conflict use_column
begin
  return query
  with waiting as (
    select s.job_id, s.step, j.user_id, j.tool, coalesce(s.not_before, p_now) <= p_now as ready, coalesce(j.queued_at, j.created_at) as since
    from public.job_steps s join public.jobs j on j.id = s.job_id
    where s.provider = p_provider and s.status = 'queued' and private.is_live(j.status)
      and (s.deadline_at > p_now or exists (  -- a waiting step's time does not run while a sibling works
        select from public.job_steps w where w.job_id = s.job_id and w.status in ('starting', 'running')))
  ), lined as (
    select w.*, row_number() over own as turn, greatest(first_value(w.since) over own, u.served_at) as in_line_since
    from waiting w left join private.queue_turns u on u.provider = p_provider and u.user_id = w.user_id
    window own as (partition by w.user_id order by not w.ready, w.since, w.job_id, w.step)
  )
  select l.job_id, l.step, l.user_id, l.tool, l.ready, row_number() over (order by not l.ready, l.turn, l.in_line_since, l.user_id)
  from lined l;
end $$;

-- How long a step of each tool held its slot lately: the mean of its last 20 among the provider's last 200. A tool without
-- any takes the mean of the others; with nothing measured at all it is a minute, so that there is always an answer.
create or replace function private.tool_seconds(p_provider text)
returns table (tool text, seconds numeric, measured boolean)
language plpgsql stable set search_path = '' as
$$
#variable_conflict use_column
begin
  return query
  with lately as (
    select j.tool, greatest(extract(epoch from coalesce(s.provider_done_at, s.completed_at) - least(s.claimed_at, s.started_at)), 0) as seconds,
      row_number() over (partition by j.tool order by s.completed_at desc) as nth
    from (select * from public.job_steps c where c.provider = p_provider and c.status = 'completed' and c.started_at is not null
      order by c.completed_at desc limit 200) s
    join public.jobs j on j.id = s.job_id
  ), mean as (
    select l.tool, avg(l.seconds) as seconds from lately l where l.nth <= 20 group by rollup (l.tool)
  )
  select t.tool, coalesce(m.seconds, a.seconds, 60), a.seconds is not null
  from public.tools t left join mean m on m.tool = t.tool left join mean a on a.tool is null
  where t.provider = p_provider;
end $$;

-- In how many seconds each slot of a provider will be free, the latest first. What takes longer than its tool usually does
-- is taken to need as long again as it is late.
create or replace function private.slots_free_in(p_provider text) returns numeric[]
language plpgsql stable set search_path = '' as
$$
begin
  return (
  with busy as (
    select abs(coalesce(t.seconds, 60) - extract(epoch from clock_timestamp() - coalesce(s.claimed_at, s.sent_at, s.started_at, j.created_at))) as seconds
    from public.job_steps s join public.jobs j on j.id = s.job_id left join private.tool_seconds(p_provider) t on t.tool = j.tool
    where s.provider = p_provider and s.status in ('starting', 'running') and s.provider_done_at is null
  ), slot as (
    select generate_series(1, greatest(p.max_concurrent, 1)) as slot from public.providers p where p.provider = p_provider
  ), held as (
    -- Over a lowered limit, those that end first free no slot.
    select b.seconds from busy b union all select 0 from slot order by 1 desc limit (select count(*) from slot)
  )
  select array_agg(h.seconds) from held h
  );
end $$;

-- Positions 1..n of the jobs that wait at a provider, and in how many seconds each will start: each in its turn in the slot
-- that is free first, if everything takes as long as its tool took lately.
create or replace function private.queue_places(p_provider text)
returns table (job_id uuid, "position" int, eta_seconds int)
language plpgsql stable set search_path = '' as
$$
#variable_conflict use_column
declare v_free numeric[] := private.slots_free_in(p_provider); v_slot int; v_step record; v_place int := 0;
begin
  for v_step in
    select q.job_id, coalesce(t.seconds, 60) as seconds, greatest(extract(epoch from s.not_before - clock_timestamp()), 1) as not_in,
      j.status = 'queued' and row_number() over (partition by q.job_id order by q.place) = 1 as is_first
    from private.queue_order(p_provider, clock_timestamp()) q
    join public.jobs j on j.id = q.job_id
    join public.job_steps s on s.job_id = q.job_id and s.step = q.step
    left join private.tool_seconds(p_provider) t on t.tool = q.tool
    order by q.place
  loop
    v_slot := 1;
    for i in 2 .. cardinality(v_free) loop
      if v_free[i] < v_free[v_slot] then v_slot := i; end if;
    end loop;
    v_free[v_slot] := greatest(v_free[v_slot], v_step.not_in);
    if v_step.is_first then
      v_place := v_place + 1;
      return query select v_step.job_id, v_place, ceil(v_free[v_slot])::int;
    end if;
    v_free[v_slot] := v_free[v_slot] + v_step.seconds;
  end loop;
end $$;
