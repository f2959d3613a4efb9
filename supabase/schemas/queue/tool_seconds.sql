-- How long a step of each tool held its slot lately: the mean of the tool's last 20 among the
-- provider's last 200. A tool without any takes the mean of the others. Without any measurement it
-- is 60 seconds, with measured = false.
create or replace function unstuck_private.tool_seconds(p_provider text)
returns table (tool text, seconds numeric, measured boolean)
language plpgsql
stable
set search_path = ''
as
$$
begin
  return query
  with lately as (
    select
      j.tool,
      greatest(
        unstuck_private.seconds_between(
          least(s.claimed_at, s.started_at),
          coalesce(s.provider_done_at, s.completed_at)
        ),
        0
      ) as seconds,
      row_number() over (partition by j.tool order by s.completed_at desc) as nth
    from (
      select *
      from unstuck.job_steps c
      where c.provider = p_provider
        and c.status = 'completed'
        and c.started_at is not null
      order by c.completed_at desc
      limit 200
    ) s
    join unstuck.jobs j on j.id = s.job_id
  ),
  mean as (
    select l.tool, avg(l.seconds) as seconds
    from lately l
    where l.nth <= 20
    group by rollup (l.tool)
  )
  select
    t.tool,
    coalesce(m.seconds, a.seconds, 60),
    a.seconds is not null
  from unstuck.tools t
  left join mean m on m.tool = t.tool
  left join mean a on a.tool is null
  where t.provider = p_provider;
end $$;

revoke all on function unstuck_private.tool_seconds from public, anon, authenticated, service_role;
