create view unstuck.pose_changer_jobs
with (security_invoker = true) as
select
  j.id,
  j.user_id,
  j.session_id,
  j.tool,
  unstuck_private.status_word('pose_changer_jobs', j.status) as status,
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
  coalesce(j.input #>> '{personImageUrl}', j.input ->> 'input_file_name') as input_file_name,
  j.input #>> '{personImageUrl}' as input_url,
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
  j.input ->> 'personImageUrl' as person_image_url,
  j.input ->> 'referenceImageUrl' as reference_image_url
from unstuck.jobs j
where j.tool in (
  select t.tool
  from unstuck.tools t
  where t.table_name = 'pose_changer_jobs'
);

create trigger legacy_job_insert instead of insert on unstuck.pose_changer_jobs
for each row execute function unstuck_private.legacy_job_insert();
create trigger legacy_job_update instead of update on unstuck.pose_changer_jobs
for each row execute function unstuck_private.legacy_job_update();
create trigger legacy_job_delete instead of delete on unstuck.pose_changer_jobs
for each row execute function unstuck_private.legacy_write_refuse();

comment on view unstuck.pose_changer_jobs is $c$
Jobs under the name that older pages read: the pose changer.
$c$;

revoke all on unstuck.pose_changer_jobs from public, anon, authenticated, service_role;
grant select on unstuck.pose_changer_jobs to authenticated, service_role;
grant insert, update, delete on unstuck.pose_changer_jobs to authenticated;
