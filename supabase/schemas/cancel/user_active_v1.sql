create or replace function unstuck.user_active_v1(p_user_id uuid)
returns table (has_active_job boolean, active_tool text, active_table text, active_job_id uuid, active_status text, "position" int)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare v_orphan interval;
begin
  perform unstuck.user_heal_v1(p_user_id);
  -- An orphan written by somebody else's hand: live, unpaid, no task, no start. Cancelled, so that it hides no real job.
  select orphan into v_orphan from unstuck_private.intervals();
  perform unstuck_private.account_lock(p_user_id);
  perform unstuck_private.orphans_cancel(array(
    select j.id from unstuck.jobs j join unstuck.tools t using (tool)
    where j.user_id = p_user_id and j.status in ('pending', 'queued') and j.request_hash is null and j.started_at is null
      and coalesce(j.queued_at, j.created_at) <= clock_timestamp() - v_orphan
      and not exists (select from unstuck.credit_entries e where e.job_id = j.id and e.kind = 'debit')
      and not exists (select from unstuck.job_steps s where s.job_id = j.id and (s.provider_task_id is not null or s.claimed_at is not null))
    order by j.id for update of j));
  return query
  select true, j.tool, t.table_name, j.id, j.status,
    case when j.status = 'queued' then (select p."position" from unstuck_private.queue_places(t.provider) p where p.job_id = j.id) end
  from unstuck.jobs j join unstuck.tools t using (tool)
  where j.user_id = p_user_id and t.provider = 'runninghub' and j.status in ('queued', 'starting', 'running') and j.quarantined_at is null
  -- A row by hand that may be an orphan, too young to tell, hides no job that was paid.
  order by j.status = 'queued', j.request_hash is null and j.credits_charged = 0, j.created_at limit 1;
  if not found then
    return query select false, null::text, null::text, null::uuid, null::text, null::int;
  end if;
end $$;

comment on function unstuck.user_active_v1 is $c$
Caller: check-user-active. Heals the user's overdue rows and orphans, then looks at running
jobs, then at queued ones. Always one row.
$c$;

revoke all on function unstuck.user_active_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.user_active_v1 to service_role;
