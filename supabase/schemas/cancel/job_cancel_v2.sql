create or replace function unstuck.job_cancel_v2(p_user_id uuid, p_job_id uuid)
returns table (status text, refunded_credits bigint, provider text)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
declare
  v_table text;
begin
  perform unstuck_private.refuse_other_deployment();
  select t.table_name
  into v_table
  from unstuck.jobs j
  join unstuck.tools t using (tool)
  where j.id = p_job_id
    and j.user_id = p_user_id;
  if not found then
    perform unstuck_private.refuse(404, 'not_found');
  end if;
  return query
  select c.status, c.refunded_credits, c.provider
  from unstuck.job_cancel_v1(p_user_id, v_table, p_job_id) c;
end $$;

comment on function unstuck.job_cancel_v2 is $c$
Caller: the function `jobs`, for the verified user.

Effect: that of job_cancel_v1, for a job of any tool.

Refuses: not_found, in_progress, already_final, as job_cancel_v1 does.

Replay: already_final, with what was refunded.
$c$;

revoke all on function unstuck.job_cancel_v2 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_cancel_v2 to service_role;
