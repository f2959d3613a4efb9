create or replace function unstuck.steps_due_v1(
  p_provider text,
  p_limit int,
  p_all boolean default false
)
returns table (
  job_id uuid,
  step int,
  run bigint,
  tool text,
  user_id uuid,
  due text,
  task_id text,
  overdue boolean,
  output jsonb,
  inbox jsonb,
  sent_since timestamptz,
  sent_seconds int,
  open int
)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_provider unstuck.providers;
  v_open int;
  v_keys jsonb;
begin
  select *
  into v_provider
  from unstuck.providers
  where provider = p_provider;
  if not found or v_provider.synchronous then
    return;
  end if;
  select count(*)
  into v_open
  from unstuck.job_steps s
  where s.provider = p_provider
    and s.status in ('starting', 'running')
    and s.provider_task_id is not null
    and s.provider_done_at is null;
  select jsonb_agg(to_jsonb(m))
  into v_keys
  from (
    select s.job_id, s.step,
      case
        when s.provider_done_at is not null then 'copy'
        when s.provider_task_id is null then 'inbox'
        else 'query'
      end as due,
      s.deadline_at <= v_now as overdue
    from unstuck.job_steps s
    cross join unstuck_private.intervals() i
    where s.provider = p_provider
      and s.status in ('starting', 'running')
      and s.sent_at is not null
      and case
        when s.provider_done_at is not null then
          coalesce(s.lease_until, '-infinity') <= v_now
        when s.provider_task_id is null then
          coalesce(s.lease_until, v_now) <= v_now
          and coalesce(s.checked_at, '-infinity') <= v_now - interval '5 seconds'
        when s.deadline_at <= v_now then
          coalesce(s.checked_at, '-infinity') <= v_now - interval '5 seconds'
          or s.checked_at <= s.deadline_at
        else
          p_all
          or not v_provider.signed_webhooks
          and coalesce(s.checked_at, s.sent_at) <= v_now - i.check_every
      end
    order by
      s.deadline_at > v_now,
      coalesce(s.checked_at, '-infinity'),
      s.job_id,
      s.step
    limit p_limit
    for update of s skip locked
  ) m;
  return query
  select r.job_id, r.step, r.run, j.tool, j.user_id, r.due, coalesce(r.task_id, w.task_id),
    r.overdue, r.output, w.body,
    -- The provider's clock may not be ours.
    r.sent_at - interval '2 minutes',
    unstuck_private.seconds_between(r.sent_at, v_now),
    v_open
  from unstuck_private.steps_reserve(v_now, v_keys) r
  join unstuck.jobs j on j.id = r.job_id
  -- What was said at this address about another step's task says nothing of this one.
  left join lateral (
    select i.task_id, i.body
    from unstuck.webhook_inbox i
    where i.job_id = r.job_id
      and i.step = r.step
      and i.run = r.run
      and not exists (
        select
        from unstuck.job_steps o
        where o.provider = p_provider
          and o.provider_task_id = i.task_id
          and (o.job_id, o.step) <> (r.job_id, r.step)
      )
    order by i.id desc
    limit 1
  ) w on true;

  select jsonb_agg(to_jsonb(m))
  into v_keys
  from (
    select s.job_id, s.step, 'cancel' as due, false as overdue
    from unstuck.job_steps s
    where s.provider = p_provider
      and s.provider_cancel_due <> '[]'
      and coalesce(s.checked_at, '-infinity') <= v_now - interval '15 seconds'
    order by s.checked_at nulls first, s.job_id
    limit p_limit
    for update of s skip locked
  ) m;
  return query
  select o.job_id, o.step, d.run, j.tool, j.user_id, o.due, d.task_id,
    false, null::jsonb, null::jsonb, null::timestamptz, null::int, v_open
  from unstuck_private.steps_reserve(v_now, v_keys) o
  join unstuck.jobs j on j.id = o.job_id
  cross join lateral unstuck_private.cancel_debts(o.provider_cancel_due) d;
end $$;

comment on function unstuck.steps_due_v1 is $c$
Caller: sweep; with p_all the checker, for which every running step is due.

Steps to ask the provider about (query: unchecked for 30 s or past the deadline; inbox: sent, no
answer; copy: finished, not stored; cancel: owed), those first that were not asked about for
longest, and how many are open in all. What it returns is reserved for a moment. What somebody
else holds is left for the next call, and so is a step that cannot be reserved.
$c$;

revoke all on function unstuck.steps_due_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.steps_due_v1 to service_role;
