create or replace function unstuck.job_cancel_admin_v1(p_actor uuid, p_table text, p_job_id uuid, p_reason text)
returns table (status text, refunded_credits bigint, provider text)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare v_job unstuck.jobs;
begin
  if not unstuck.has_role(p_actor, 'admin') then perform unstuck_private.refuse(403, 'forbidden'); end if;
  perform unstuck_private.act_as('admin:' || p_actor);
  v_job := unstuck_private.job_lock(p_job_id);
  perform unstuck_private.refuse_other_table(v_job, p_table);
  perform unstuck_private.refuse_final(v_job);
  return query
  select c.status, c.refunded, t.provider
  from unstuck_private.jobs_close(array[p_job_id], array['cancelled'], array['CANCELLED'],
    array['cancelled by an admin' || coalesce(': ' || nullif(trim(trailing '.' from trim(p_reason)), ''), '') || '.']) c
  join unstuck.tools t using (tool);
end $$;

comment on function unstuck.job_cancel_admin_v1 is $c$
Caller: admin-cancel-job. The role is read now, in the same transaction. Cancels a live job of
any tool and returns what it was charged.
Refuses: forbidden, bad_request, not_found, already_final (with status and refundedCredits: a
second call returns nothing more).
$c$;

revoke all on function unstuck.job_cancel_admin_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_cancel_admin_v1 to service_role;
