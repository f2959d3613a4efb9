-- What only a question to the provider can settle, reserved so that two healers never ask twice at once.
create or replace function unstuck.steps_due_v1(p_provider text, p_limit int, p_all boolean default false)
returns table (job_id uuid, step int, run bigint, tool text, user_id uuid, due text, task_id text, overdue boolean, output jsonb, inbox jsonb,
  sent_since timestamptz, sent_seconds int, open int)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare v_now timestamptz := clock_timestamp(); v_provider unstuck.providers; v_open int;
begin
  select * into v_provider from unstuck.providers where provider = p_provider;
  if not found or v_provider.synchronous then return; end if;
  select count(*) into v_open from unstuck.job_steps s
  where s.provider = p_provider and s.status in ('starting', 'running') and s.provider_task_id is not null and s.provider_done_at is null;
  return query
  with mine as (
    select s.job_id, s.step, s.status, s.deadline_at <= v_now as overdue, s.provider_done_at is not null as done,
      s.provider_task_id is null as unknown
    from unstuck.job_steps s cross join unstuck_private.intervals() i
    where s.provider = p_provider and s.status in ('starting', 'running') and s.sent_at is not null
      and case
        when s.provider_done_at is not null then coalesce(s.lease_until, '-infinity') <= v_now
        when s.provider_task_id is null then coalesce(s.lease_until, v_now) <= v_now and coalesce(s.checked_at, '-infinity') <= v_now - interval '5 seconds'
        when s.deadline_at <= v_now then coalesce(s.checked_at, '-infinity') <= v_now - interval '5 seconds' or s.checked_at <= s.deadline_at
        else p_all or not v_provider.signed_webhooks and coalesce(s.checked_at, s.sent_at) <= v_now - i.check_every end
    order by s.deadline_at > v_now, coalesce(s.checked_at, '-infinity'), s.job_id, s.step
    limit p_limit for update of s skip locked
  ), reserved as (
    update unstuck.job_steps s set checked_at = v_now, lease_until = case when m.done then v_now + i.lease else s.lease_until end
    from mine m, unstuck_private.intervals() i
    where s.job_id = m.job_id and s.step = m.step
    returning s.job_id, s.step, s.run, s.provider_task_id, s.output, s.sent_at, m.overdue, m.done, m.unknown
  ), owing as (
    select s.job_id, s.step from unstuck.job_steps s
    where s.provider = p_provider and s.provider_cancel_due <> '[]'
      and not exists (select from mine m where m.job_id = s.job_id and m.step = s.step)
      and coalesce(s.checked_at, '-infinity') <= v_now - interval '15 seconds'
    order by s.checked_at nulls first, s.job_id limit p_limit for update of s skip locked
  ), owed as (
    update unstuck.job_steps s set checked_at = v_now from owing o where s.job_id = o.job_id and s.step = o.step
    returning s.job_id, s.step, s.run, s.provider_cancel_due
  )
  select r.job_id, r.step, r.run, j.tool, j.user_id,
    case when r.done then 'copy' when r.unknown then 'inbox' else 'query' end,
    coalesce(r.provider_task_id, w.task_id), r.overdue, r.output, w.body,
    -- The provider's clock may not be ours.
    r.sent_at - interval '2 minutes', extract(epoch from v_now - r.sent_at)::int, v_open
  from reserved r join unstuck.jobs j on j.id = r.job_id
  -- What was said at this address about a task that is another step's says nothing of this one.
  left join lateral (select i.task_id, i.body from unstuck.webhook_inbox i where i.job_id = r.job_id and i.step = r.step and i.run = r.run
      and not exists (select from unstuck.job_steps o
        where o.provider = p_provider and o.provider_task_id = i.task_id and (o.job_id, o.step) <> (r.job_id, r.step))
    order by i.id desc limit 1) w on true
  union all
  select o.job_id, o.step, (d ->> 'run')::bigint, j.tool, j.user_id, 'cancel', d ->> 'task_id', false, null, null, null, null, v_open
  from owed o join unstuck.jobs j on j.id = o.job_id cross join lateral jsonb_array_elements(o.provider_cancel_due) d;
end $$;

comment on function unstuck.steps_due_v1 is $c$
Caller: sweep; with p_all the checker, for which every running step is due. Steps to ask the
provider about (query: unchecked for 30 s or past the deadline; inbox: sent, no answer; copy:
finished, not stored; cancel: owed), those first that were not asked about for longest, and how
many are open in all. What it returns is reserved for a moment.
$c$;

revoke all on function unstuck.steps_due_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.steps_due_v1 to service_role;
