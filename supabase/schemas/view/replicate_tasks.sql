create view unstuck.replicate_tasks
with (security_invoker = true) as
select
  j.id,
  j.user_id,
  j.session_id,
  j.tool,
  unstuck_private.status_word('replicate_tasks', j.status) as status,
  case when j.status = 'queued' then unstuck_private.job_position(j.id) end as "position",
  unstuck_private.job_task_id(j.id) as task_id,
  coalesce(j.input #>> '{person_image}', j.input ->> 'input_file_name') as input_file_name,
  j.input #>> '{person_image}' as input_url,
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
  j.input ->> 'person_image' as person_image,
  j.input -> 'garments' as garments,
  j.input ->> 'prompt_hints' as prompt_hints,
  unstuck_private.job_task_id(j.id) as prediction_id,
  j.output_url as result_url,
  j.current_step,
  j.total_steps,
  extract(epoch from now() - j.updated_at)::int as seconds_since_change
from unstuck.jobs j
where j.tool in (select t.tool from unstuck.tools t where t.table_name = 'replicate_tasks');

create trigger legacy_job_insert instead of insert on unstuck.replicate_tasks
for each row execute function unstuck_private.legacy_job_insert();
create trigger legacy_job_update instead of update on unstuck.replicate_tasks
for each row execute function unstuck_private.legacy_job_update();
create trigger legacy_job_delete instead of delete on unstuck.replicate_tasks
for each row execute function unstuck_private.legacy_write_refuse();

revoke all on unstuck.replicate_tasks from public, anon, authenticated, service_role;
grant select on unstuck.replicate_tasks to authenticated, service_role;
