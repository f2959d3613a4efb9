create view unstuck.job_health
with (security_invoker = true) as
select
  t.table_name,
  count(j.id) as live,
  count(j.id) filter (where j.status in ('pending', 'queued')) as waiting,
  count(j.id) filter (where j.status in ('starting', 'running')) as running,
  count(j.id) filter (
    where j.status in ('pending', 'queued')
      and coalesce(j.queued_at, j.created_at) < now() - interval '2 minutes'
      and not exists (
        select from unstuck.job_steps s
        where s.job_id = j.id and s.provider_task_id is not null
      )
      -- Read once for all rows, because a position costs a pass over the whole queue.
      and j.id not in (select p.job_id from unstuck_private.visible_positions() p)
  ) as old_queued_without_task_or_position,
  count(j.id) filter (
    where t.table_name = 'video_upscaler_jobs'
      and coalesce(j.input ->> 'videoUrl', j.input ->> 'input_file_name', '') !~ '^https?://'
  ) as video_input_not_a_url,
  count(j.id) filter (where j.updated_at < now() - interval '10 minutes')
    as unchanged_for_10_minutes,
  avg(unstuck_private.seconds_between(j.created_at, now()))::int as mean_age_seconds,
  max(unstuck_private.seconds_between(j.created_at, now())) as oldest_seconds,
  max(unstuck_private.seconds_between(j.updated_at, now())) as longest_unchanged_seconds
from unstuck.tools t
left join unstuck.jobs j
  on j.tool = t.tool
  and unstuck_private.is_live(j.status)
where (select unstuck_private.may_see(null))
group by t.table_name;

comment on view unstuck.job_health is $c$
One row per table: what is live there, how old it is, and three counts that should be 0.
$c$;

revoke all on unstuck.job_health from public, anon, authenticated, service_role;
grant select on unstuck.job_health to authenticated, service_role;
