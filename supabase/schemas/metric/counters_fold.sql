-- Adds the jobs that ended since the last call to `counters`, `costs_by_day` and `ended_by_minute`,
-- and records when each provider's last webhook came. It counts each job once, about 20,000 in a
-- call, and stops before the oldest transaction under way (`settled_before`). A second call while
-- one is at work returns at once. Only the sweeps call it: no transition of a job writes a counter.
create or replace function unstuck_private.counters_fold(p_now timestamptz) returns void
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
as
$$
declare
  v_from timestamptz;
  v_to timestamptz := unstuck_private.settled_before(p_now);
  v_page timestamptz;
begin
  select c.at
  into v_from
  from unstuck_private.counted_until c
  for update skip locked;
  if v_from is null or v_to <= v_from then
    return;
  end if;
  select j.completed_at
  into v_page
  from unstuck_private.jobs_ended(v_from, v_to) j
  order by j.completed_at
  offset 20000
  limit 1;
  v_to := coalesce(v_page, v_to);
  insert into unstuck_private.counters as c (name, labels, value)
  select l.name, l.labels, sum(l.value)
  from unstuck_private.lines_between(v_from, v_to) l
  group by l.name, l.labels
  on conflict (name, labels) do update
  set value = c.value + excluded.value;
  perform unstuck_private.costs_fold(v_from, v_to);
  insert into unstuck_private.ended_by_minute as m (minute, provider, done, failed)
  select date_trunc('minute', e.ended_at), e.provider,
    count(*) filter (where e.class = 'completed'),
    count(*) filter (where e.is_failure)
  from unstuck_private.steps_ended(v_from, v_to) e
  where e.ended_at is not null
  group by 1, 2
  on conflict (provider, minute) do update
  set done = m.done + excluded.done,
    failed = m.failed + excluded.failed;
  delete from unstuck_private.ended_by_minute m
  where m.minute < p_now - interval '1 hour';
  perform unstuck_private.healer_mark('webhook:' || w.provider, w.at)
  from (
    select i.provider, max(i.received_at) as at
    from unstuck.webhook_inbox i
    where i.received_at > v_from - interval '1 minute'
    group by i.provider
  ) w;
  update unstuck_private.counted_until c
  set at = v_to;
end $$;

revoke all on function unstuck_private.counters_fold
from public, anon, authenticated, service_role;
