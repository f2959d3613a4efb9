-- Refuses to adopt a job that was never ordered (it has no `request_hash`), with already_final and
-- its status. It allows the rows that an order may adopt: a pending row of an older client, an
-- orphan that a sweep has cancelled, and a queued row without steps.
create or replace function unstuck_private.refuse_adoption(p_job unstuck.jobs) returns void
language plpgsql
set search_path = ''
as
$$
begin
  if p_job.status = 'pending'
    or (p_job.status = 'cancelled' and p_job.error_code = 'ORPHANED')
    or (
      p_job.status = 'queued'
      and not exists (select from unstuck.job_steps s where s.job_id = p_job.id)
    )
  then
    return;
  end if;
  perform unstuck_private.refuse(
    409,
    'already_final',
    jsonb_build_object('status', p_job.status, 'refundedCredits', p_job.credits_refunded)
  );
end $$;

revoke all on function unstuck_private.refuse_adoption
from public, anon, authenticated, service_role;
