-- Returns what the jobs that ended after `p_from` and up to `p_to` add to the rows of `counters`; a
-- row of `counters` may come several times.
create or replace function unstuck_private.lines_between(p_from timestamptz, p_to timestamptz)
returns table (name text, labels jsonb, value numeric)
language plpgsql
stable
set search_path = ''
as
$$
#variable_conflict use_column
begin
  return query
  with ended as materialized (
    select j.tool, j.status, j.error_code, j.credits_charged, j.credits_refunded,
      extract(epoch from j.started_at - coalesce(j.queued_at, j.created_at)) as waited,
      case j.status
        when 'completed' then extract(epoch from j.completed_at - j.started_at)
      end as took
    from unstuck_private.jobs_ended(p_from, p_to) j
  ), timed as (
    select 'unstuck_job_wait_seconds' as name, e.tool, greatest(e.waited, 0) as seconds
    from ended e
    where e.waited is not null
    union all
    select 'unstuck_job_duration_seconds', e.tool, greatest(e.took, 0)
    from ended e
    where e.took is not null
  )
  select 'unstuck_jobs_ended_total',
    jsonb_build_object(
      'tool', e.tool, 'status', e.status, 'code', lower(coalesce(e.error_code, ''))),
    count(*)
  from ended e
  group by e.tool, e.status, e.error_code
  union all
  select v.name, jsonb_build_object('tool', e.tool), sum(v.value)
  from ended e
  cross join lateral (
    values
      ('unstuck_credits_charged_total', e.credits_charged::numeric),
      ('unstuck_credits_refunded_total', e.credits_refunded),
      ('unstuck_refunds_total', (e.credits_refunded > 0)::int)
  ) as v (name, value)
  group by v.name, e.tool
  union all
  select t.name || '_bucket',
    jsonb_build_object('tool', t.tool, 'le', b.le),
    count(*) filter (where t.seconds <= b.le::float8)
  from timed t
  cross join unnest(array[
    '1', '5', '15', '30', '60', '120', '300', '600', '1800', '3600', '+Inf'
  ]) as b (le)
  group by t.name, t.tool, b.le
  union all
  select t.name || v.suffix, jsonb_build_object('tool', t.tool), sum(v.value)
  from timed t
  cross join lateral (
    values ('_sum', t.seconds), ('_count', 1)
  ) as v (suffix, value)
  group by t.name, t.tool, v.suffix
  union all
  select v.name, v.labels, sum(v.value)
  from unstuck_private.steps_ended(p_from, p_to) s
  cross join lateral (
    values
      (
        'unstuck_provider_answers_total',
        jsonb_build_object('provider', s.provider, 'class', s.class),
        1
      ),
      (
        'unstuck_provider_attempts_total',
        jsonb_build_object('provider', s.provider),
        s.attempts
      )
  ) as v (name, labels, value)
  group by v.name, v.labels;
end $$;

revoke all on function unstuck_private.lines_between
from public, anon, authenticated, service_role;
