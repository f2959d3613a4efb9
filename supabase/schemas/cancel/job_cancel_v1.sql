create or replace function unstuck.job_cancel_v1(p_user_id uuid, p_table text, p_job_id uuid)
returns table (status text, refunded_credits bigint, provider text)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_job unstuck.jobs;
  v_tool unstuck.tools;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as('user');
  v_job := unstuck_private.job_lock(p_job_id);
  if v_job.user_id is distinct from p_user_id then
    v_job := null;
  end if;
  perform unstuck_private.refuse_other_table(v_job, p_table);
  select *
  into v_tool
  from unstuck.tools
  where tool = v_job.tool;
  if v_job.error_code = 'ORPHANED' then
    -- A sweep cancelled it, and its `/run` could adopt it: from now on its user cancelled it.
    perform unstuck_private.cancelled_requests_add(p_user_id, array[p_job_id]);
    update unstuck.jobs
    set error_code = 'CANCELLED',
      error_message = 'CANCELLED: cancelled by the user.'
    where id = p_job_id;
    return query
    select 'cancelled', 0::bigint, v_tool.provider;
    return;
  end if;
  perform unstuck_private.refuse_final(v_job);
  if v_job.quarantined_at is not null
    or v_job.status in ('starting', 'running') and not v_tool.user_cancel_running
  then
    perform unstuck_private.refuse(
      409, 'in_progress',
      jsonb_build_object('status', unstuck_private.public_status(v_job.status)));
  end if;
  perform unstuck_private.cancelled_requests_add(p_user_id, array[p_job_id]);
  begin
    return query
    select c.status, c.refunded, v_tool.provider
    from unstuck_private.jobs_finalise(
      array[p_job_id], array['cancelled'], array['CANCELLED'],
      array['cancelled by the user.']) c;
  exception when data_exception or integrity_constraint_violation then
    -- Its refund does not fit into a bigint: the next sweep quarantines it, and an admin cancels
    -- it.
    perform unstuck_private.refuse(
      409, 'in_progress',
      jsonb_build_object('status', unstuck_private.public_status(v_job.status)));
  end;
end $$;

comment on function unstuck.job_cancel_v1 is $c$
Caller: the cancel operation of runninghub-queue-manager, for the verified user.

Effect: cancels the user's own waiting job (a running one where the tool allows it) and refunds it.
An orphan that a sweep cancelled counts as cancelled by its user from then on, and no `/run` takes
it back.

Refuses: bad_request, not_found, in_progress (also a quarantined job, and one whose refund does not
fit into a bigint, which the next sweep quarantines), already_final.

Replay: already_final, with what was refunded.
$c$;

revoke all on function unstuck.job_cancel_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_cancel_v1 to service_role;
