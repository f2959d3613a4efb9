create view unstuck.generation_jobs
with (security_invoker = true) as
select
  j.id,
  j.user_id,
  j.session_id,
  j.tool,
  unstuck_private.status_word('generation_jobs', j.status) as status,
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
  coalesce(j.input #>> '{productImages,0,url}', j.input ->> 'input_file_name') as input_file_name,
  j.input #>> '{productImages,0,url}' as input_url,
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
  j.input ->> 'productName' as product_name,
  j.input ->> 'category' as category,
  j.input ->> 'description' as description,
  j.input -> 'productImages' as product_images,
  j.input -> 'selectedCards' as selected_cards,
  j.input ->> 'aspectRatio' as aspect_ratio,
  j.total_steps as total_cards
from unstuck.jobs j
where j.tool in (
  select t.tool
  from unstuck.tools t
  where t.table_name = 'generation_jobs'
);

-- Only the functions write these jobs.
create trigger legacy_job_write instead of insert or update or delete on unstuck.generation_jobs
for each row execute function unstuck_private.legacy_write_refuse();

comment on view unstuck.generation_jobs is $c$
Jobs under the name that older pages read: sets of cards.
$c$;

revoke all on unstuck.generation_jobs from public, anon, authenticated, service_role;
grant select on unstuck.generation_jobs to authenticated, service_role;
