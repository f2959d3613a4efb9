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
  input jsonb,
  done_seconds int,
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
  perform unstuck_private.refuse_other_deployment();
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
    and unstuck_private.holds_slot(s)
    and s.provider_task_id is not null;
  v_keys := unstuck_private.steps_due_at_provider(v_provider, v_now, p_all, p_limit);
  return query
  select r.job_id, r.step, r.run, j.tool, j.user_id, r.due, coalesce(r.task_id, w.task_id),
    r.overdue, r.output, r.input, unstuck_private.seconds_between(r.done_at, v_now),
    -- The provider's clock may differ from ours.
    r.sent_at - interval '2 minutes',
    unstuck_private.seconds_between(r.sent_at, v_now),
    v_open
  from unstuck_private.steps_reserve(v_now, v_keys) r
  join unstuck.jobs j on j.id = r.job_id
  -- The newest webhook of this run, unless it names the task of another step.
  left join lateral (
    select i.task_id
    from unstuck.webhook_inbox i
    where i.job_id = r.job_id
      and i.step = r.step
      and i.run = r.run
      and i.task_id is not null
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

  return query
  select e.job_id, e.step, e.run, j.tool, j.user_id, 'inbox', e.task_id,
    false, null::jsonb, null::jsonb, null::int, null::timestamptz, null::int, v_open
  from unstuck_private.webhooks_of_earlier_runs(p_provider, v_now, p_limit) e
  join unstuck.jobs j on j.id = e.job_id;

  v_keys := unstuck_private.steps_with_cancel_debt(p_provider, v_now, p_limit);
  return query
  select o.job_id, o.step, d.run, j.tool, j.user_id, o.due, d.task_id,
    false, null::jsonb, null::jsonb, null::int, null::timestamptz, null::int, v_open
  from unstuck_private.steps_reserve(v_now, v_keys) o
  join unstuck.jobs j on j.id = o.job_id
  cross join lateral unstuck_private.cancel_debts(o.provider_cancel_due) d;
end $$;

comment on function unstuck.steps_due_v1 is $c$
Caller: a healer, for one asynchronous provider; with p_all the checker, for which every running
step is due.

Effect: reserves up to p_limit steps to query about, and up to p_limit cancels to send, for the
caller. due: query (unchecked for 30 s, for three minutes where webhooks are signed, or past the
deadline) | inbox (sent without an answer; or a webhook of an earlier run that nobody applied, up to
p_limit more rows, which are not reserved) | copy (the provider is done, the result is not stored) |
cancel (owed). Overdue steps come first, then those that were not queried for longest. input: the
step's stored request for inbox, only its result for query and copy, null for cancel. open: how many
tasks the provider works on in all.

Refuses: nothing; no row for a synchronous provider. What another transaction has locked, or a step
that cannot be reserved, is left to the next call.

Replay: a step that is reserved does not come again for some seconds.
$c$;

revoke all on function unstuck.steps_due_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.steps_due_v1 to service_role;
