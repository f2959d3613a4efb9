create view unstuck.generation_tasks
with (security_invoker = true) as
select
  j.id as job_id,
  s.step,
  s.step - 1 as task_index,
  j.user_id,
  j.session_id,
  case
    when s.status = 'queued' and s.not_before > now() then 'retrying'
    else unstuck_private.status_word('generation_tasks', s.status)
  end as status,
  unstuck_private.number_or_null(j.input -> 'selectedCards' ->> (s.step - 1))::int as card_index,
  p.output_url as image_url,
  s.attempts,
  s.not_before,
  s.error_code,
  s.error_message as last_error,
  j.created_at,
  s.started_at,
  s.completed_at,
  md5(s.job_id || '/' || s.step)::uuid as id,
  case when s.status = 'queued' then
    ((select unstuck_private.caller_positions()) ->> s.job_id::text)::int
  end as "position",
  s.provider_task_id as task_id,
  coalesce(j.input #>> '{productImages,0,url}', j.input ->> 'input_file_name')
    as input_file_name,
  j.input #>> '{productImages,0,url}' as input_url,
  p.output_url,
  s.share as user_credit_cost,
  s.error_message,
  j.queued_at,
  j.updated_at,
  j.waited_in_queue
from unstuck.job_steps s
join unstuck.jobs j on j.id = s.job_id
left join unstuck_private.delivered_outputs p on p.job_id = s.job_id and p.step = s.step
where j.tool in (
  select t.tool
  from unstuck.tools t
  where t.table_name = 'generation_jobs'
);

-- Only the functions write these jobs.
create trigger legacy_job_write instead of insert or update or delete on unstuck.generation_tasks
for each row execute function unstuck_private.legacy_write_refuse();

comment on view unstuck.generation_tasks is $c$
Cards under the name that older pages read: one row per step of a set of cards.
$c$;

revoke all on unstuck.generation_tasks from public, anon, authenticated, service_role;
grant select on unstuck.generation_tasks to authenticated, service_role;
