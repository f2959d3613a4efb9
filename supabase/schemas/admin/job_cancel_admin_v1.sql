create or replace function unstuck.job_cancel_admin_v1(
  p_actor uuid,
  p_table text,
  p_job_id uuid,
  p_reason text
)
returns table (status text, refunded_credits bigint, provider text)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_reason text := nullif(trim(trailing '.' from trim(p_reason)), '');
  v_message text := 'cancelled by an admin' || coalesce(': ' || v_reason, '') || '.';
  v_job unstuck.jobs;
  v_refused text;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, p_reason);
  v_job := unstuck_private.job_lock(p_job_id);
  perform unstuck_private.refuse_other_table(v_job, p_table);
  perform unstuck_private.refuse_final(v_job);
  begin
    return query
    select c.status, c.refunded, t.provider
    from unstuck_private.jobs_finalise(
      array[p_job_id], array['cancelled'], array['CANCELLED'], array[v_message]) c
    join unstuck.tools t using (tool);
  exception when others then
    -- The account takes no refund. The job is cancelled all the same, and the event says why.
    v_refused := sqlerrm;
    return query
    select c.status, c.refunded, t.provider
    from unstuck_private.jobs_finalise(
      array[p_job_id], array['cancelled'], array['CANCELLED'],
      array[v_message || ' What is owed could not be returned.'], false) c
    join unstuck.tools t using (tool);
  end;
  perform unstuck_private.admin_cancel_record(v_job, v_refused);
  perform unstuck_private.admin_log_write(
    'job_cancelled',
    p_job_id::text,
    jsonb_build_object('status', v_job.status, 'refunded', v_job.credits_refunded),
    (
      select jsonb_build_object('status', j.status, 'refunded', j.credits_refunded)
      from unstuck.jobs j
      where j.id = p_job_id
    )
  );
end $$;

comment on function unstuck.job_cancel_admin_v1 is $c$
Caller: admin-cancel-job. The role of p_actor is read in the same transaction.

Effect: cancels a live job of any tool, also a quarantined one, and refunds what the ledger shows as
taken and not yet refunded, whatever the row says. If the account takes no refund, the job is
cancelled without one. The message says what was refunded; the event admin_cancelled has the sums
before and after, and why a refund failed. It is a row of admin_log.

Refuses: forbidden, bad_request, not_found, already_final (with status and refundedCredits).

Replay: already_final; nothing is refunded twice.
$c$;

revoke all on function unstuck.job_cancel_admin_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_cancel_admin_v1 to service_role;
