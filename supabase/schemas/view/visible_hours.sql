-- Returns the rows of the view `jobs_by_hour` to those who may see the rows of all users
-- (`may_see`); nobody else gets a row.
create or replace function unstuck_private.visible_hours()
returns table (
  hour timestamptz,
  ordered int,
  completed int,
  failed int,
  cancelled int,
  credits_charged bigint,
  credits_refunded bigint
)
language sql
stable
security definer
set search_path = ''
as
$$
  with recent as (
    select date_trunc('hour', clock_timestamp()) - interval '23 hours' as since,
      date_trunc('hour', clock_timestamp()) + interval '1 hour' as until
  ), ordered as (
    select date_trunc('hour', j.created_at) as hour,
      count(*)::int as jobs,
      sum(j.credits_charged) as charged
    from unstuck.jobs j, recent r
    where j.created_at >= r.since and j.created_at < r.until
    group by 1
  ), ended as (
    select date_trunc('hour', j.completed_at) as hour,
      count(*) filter (where j.status = 'completed')::int as completed,
      count(*) filter (where j.status = 'failed')::int as failed,
      count(*) filter (where j.status = 'cancelled')::int as cancelled,
      sum(j.credits_refunded) as refunded
    from unstuck.jobs j, recent r
    -- A row is last updated when it ends or later, so the index by update finds what ended.
    where j.updated_at >= r.since and j.completed_at >= r.since and j.completed_at < r.until
    group by 1
  )
  select h.hour, coalesce(o.jobs, 0), coalesce(e.completed, 0), coalesce(e.failed, 0),
    coalesce(e.cancelled, 0),
    unstuck_private.clamp_to_bigint(coalesce(o.charged, 0)),
    unstuck_private.clamp_to_bigint(coalesce(e.refunded, 0))
  from recent r
  cross join lateral generate_series(
    r.since, r.since + interval '23 hours', interval '1 hour'
  ) h (hour)
  left join ordered o using (hour)
  left join ended e using (hour)
  where (select unstuck_private.may_see(null))
  order by h.hour
$$;

revoke all on function unstuck_private.visible_hours from public, anon, authenticated, service_role;
grant execute on function unstuck_private.visible_hours to authenticated, service_role;
