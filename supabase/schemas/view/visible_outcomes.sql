-- Returns the rows of the view `provider_outcomes` to those who may see the rows of all users
-- (`may_see`); nobody else gets a row.
create or replace function unstuck_private.visible_outcomes()
returns table (
  provider text,
  tool text,
  completed bigint,
  failed bigint,
  p50_seconds double precision,
  p95_seconds double precision
)
language sql
stable
security definer
set search_path = ''
as
$$
  with ended as (
    select
      s.provider,
      j.tool,
      s.status,
      extract(epoch from
        coalesce(s.provider_done_at, s.completed_at) - coalesce(s.sent_at, s.started_at)
      )::double precision as seconds
    from unstuck.job_steps s
    join unstuck.jobs j on j.id = s.job_id
    where (select unstuck_private.may_see(null))
      and s.status in ('completed', 'failed')
      -- The expression of the index `job_steps_freed`.
      and coalesce(s.provider_done_at, s.completed_at) > clock_timestamp() - interval '1 day'
  )
  select
    e.provider,
    e.tool,
    count(*) filter (where e.status = 'completed'),
    count(*) filter (where e.status = 'failed'),
    percentile_cont(0.5) within group (order by e.seconds) filter (where e.status = 'completed'),
    percentile_cont(0.95) within group (order by e.seconds) filter (where e.status = 'completed')
  from ended e
  group by grouping sets ((e.provider), (e.provider, e.tool))
$$;

revoke all on function unstuck_private.visible_outcomes
from public, anon, authenticated, service_role;
grant execute on function unstuck_private.visible_outcomes to authenticated, service_role;
