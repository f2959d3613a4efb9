create view unstuck.video_upscaler_jobs
with (security_invoker = true) as
select
  j.id,
  j.user_id,
  j.session_id,
  j.tool,
  unstuck_private.status_word('video_upscaler_jobs', j.status) as status,
  case when j.status = 'queued' then
    ((select unstuck_private.caller_positions()) ->> j.id::text)::int
  end as "position",
  (
    select s.provider_task_id
    from unstuck.job_steps s
    where s.job_id = j.id and s.provider_task_id is not null
    order by s.step desc
    limit 1
  ) as task_id,
  coalesce(j.input #>> '{videoUrl}', j.input ->> 'input_file_name') as input_file_name,
  j.input #>> '{videoUrl}' as input_url,
  j.output_url,
  j.credits_charged as user_credit_cost,
  j.credits_refunded,
  j.error_code,
  j.error_message,
  j.created_at,
  j.queued_at,
  j.started_at,
  j.completed_at,
  j.updated_at,
  j.waited_in_queue,
  j.input ->> 'videoUrl' as video_url,
  unstuck_private.number_or_null(j.input ->> 'width')::int as width,
  unstuck_private.number_or_null(j.input ->> 'height')::int as height,
  unstuck_private.number_or_null(j.input ->> 'durationSeconds') as duration_seconds
from unstuck.jobs j
where j.tool in (
  select t.tool
  from unstuck.tools t
  where t.table_name = 'video_upscaler_jobs'
);

create trigger legacy_job_insert instead of insert on unstuck.video_upscaler_jobs
for each row execute function unstuck_private.legacy_job_insert();
create trigger legacy_job_update instead of update on unstuck.video_upscaler_jobs
for each row execute function unstuck_private.legacy_job_update();
create trigger legacy_job_delete instead of delete on unstuck.video_upscaler_jobs
for each row execute function unstuck_private.legacy_write_refuse();

comment on view unstuck.video_upscaler_jobs is $c$
Jobs under the name that older pages read: the video upscaler.
$c$;

revoke all on unstuck.video_upscaler_jobs from public, anon, authenticated, service_role;
grant select on unstuck.video_upscaler_jobs to authenticated, service_role;
grant insert, update, delete on unstuck.video_upscaler_jobs to authenticated;
