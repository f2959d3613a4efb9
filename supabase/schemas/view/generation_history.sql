create view unstuck.generation_history
with (security_invoker = true) as
select
  j.id,
  j.user_id,
  j.session_id,
  j.tool,
  unstuck_private.status_word('generation_history', j.status) as status,
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
  coalesce(j.input #>> '{prompt}', j.input ->> 'input_file_name') as input_file_name,
  j.input #>> '{prompt}' as input_url,
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
  j.input ->> 'prompt' as prompt,
  j.input ->> 'siteName' as site_name,
  j.input ->> 'language' as language,
  'retry:' || j.retries as admin_note,
  j.retries
from unstuck.jobs j
where j.tool in (
  select t.tool
  from unstuck.tools t
  where t.table_name = 'generation_history'
);

-- Only the functions write these jobs.
create trigger legacy_job_write instead of insert or update or delete on unstuck.generation_history
for each row execute function unstuck_private.legacy_write_refuse();

comment on view unstuck.generation_history is $c$
Jobs under the name that older pages read: websites.
$c$;

revoke all on unstuck.generation_history from public, anon, authenticated, service_role;
grant select on unstuck.generation_history to authenticated, service_role;
