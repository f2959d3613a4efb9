create view unstuck.replicate_tasks
with (security_invoker = true) as
select
  j.id,
  j.user_id,
  j.session_id,
  j.tool,
  unstuck_private.status_word('replicate_tasks', j.status) as status,
  case when j.status = 'queued' then
    ((select unstuck_private.caller_positions()) ->> j.id::text)::int
  end as "position",
  k.task_id,
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
  k.task_id as prediction_id,
  j.output_url as result_url,
  j.current_step,
  j.total_steps,
  unstuck_private.seconds_between(j.updated_at, now()) as seconds_since_change
from unstuck.jobs j
left join lateral (
  select s.provider_task_id as task_id
  from unstuck.job_steps s
  where s.job_id = j.id and s.provider_task_id is not null
  order by s.step desc
  limit 1
) k on true
where j.tool in (
  select t.tool
  from unstuck.tools t
  where t.table_name = 'replicate_tasks'
);

-- Only the functions write these jobs.
create trigger legacy_job_write instead of insert or update or delete on unstuck.replicate_tasks
for each row execute function unstuck_private.legacy_write_refuse();

comment on view unstuck.replicate_tasks is $c$
Jobs under the name that older pages read: the try-on of several garments.
$c$;

revoke all on unstuck.replicate_tasks from public, anon, authenticated, service_role;
grant select on unstuck.replicate_tasks to authenticated, service_role;
