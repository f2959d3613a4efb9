-- Returns the largest number of our steps that an asynchronous provider had at the same time since
-- `p_since`. A step that it accepted counts from when the request left until its slot was free. So
-- does a sent step without an answer once its lease is over, because it holds a slot here; with
-- `p_with_awaited` also before, although the provider may yet refuse it.
create or replace function unstuck_private.peak_at_provider(
  p_provider text,
  p_since timestamptz,
  p_with_awaited boolean
)
returns int
language plpgsql
stable
set search_path = ''
as
$$
begin
  return (
    with taken as (
      select coalesce(s.sent_at, s.started_at) as since, null::timestamptz as until
      from unstuck.job_steps s
      where s.provider = p_provider
        and unstuck_private.holds_slot(s)
        and (s.started_at is not null or p_with_awaited or s.lease_until <= clock_timestamp())
      union all
      select coalesce(s.sent_at, s.started_at), coalesce(s.provider_done_at, s.completed_at)
      from unstuck.job_steps s
      where s.provider = p_provider
        and s.started_at is not null
        and coalesce(s.provider_done_at, s.completed_at) > p_since
    )
    select coalesce(max(w.steps), 0)::int
    from (
      select sum(e.steps) over (order by e.at, e.steps) as steps
      from taken t
      cross join lateral (values (t.since, 1), (t.until, -1)) e (at, steps)
      where e.at is not null
    ) w
  );
end $$;

revoke all on function unstuck_private.peak_at_provider
from public, anon, authenticated, service_role;
