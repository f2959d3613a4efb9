-- Returns for each tool of a provider for how many seconds a step of it held its slot lately: the
-- mean of the tool's last 20 steps among the provider's last 100. A tool without any takes the mean
-- of the others, and 60 seconds where nothing was measured.
create or replace function unstuck_private.tool_times(p_provider text)
returns unstuck_private.tool_time[]
language plpgsql
stable
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
as
$$
begin
  return (
    with done as (
      select
        -- A step that was claimed before migration 0003 does not name its tool.
        coalesce(
          s.line_tool,
          (
            select j.tool
            from unstuck.jobs j
            where j.id = s.job_id
          )
        ) as tool,
        least(s.claimed_at, s.started_at) as since,
        coalesce(s.provider_done_at, s.completed_at) as until,
        s.completed_at
      from unstuck.job_steps s
      where s.provider = p_provider
        and s.status = 'completed'
        and s.started_at is not null
      order by s.completed_at desc
      limit 100
    ),
    lately as (
      select d.*, row_number() over (partition by d.tool order by d.completed_at desc) as nth
      from done d
    ),
    mean as (
      select
        l.tool,
        avg(
          -- In whole seconds. A time that was written by hand may be infinite or wrong.
          round(
            greatest(
              least(extract(epoch from l.until) - extract(epoch from l.since), 2147483647),
              0
            )
          )
        ) as seconds
      from lately l
      where l.nth <= 20
      group by rollup (l.tool)
    )
    select array_agg(
      (t.tool, coalesce(m.seconds, a.seconds, 60))::unstuck_private.tool_time
    )
    from unstuck.tools t
    left join mean m on m.tool = t.tool
    left join mean a on a.tool is null
    where t.provider = p_provider
  );
end $$;

revoke all on function unstuck_private.tool_times from public, anon, authenticated, service_role;
