-- Refuses a final job and says how it ended.
create or replace function unstuck_private.refuse_final(p_job unstuck.jobs) returns void
language plpgsql
set search_path = ''
as
$$
begin
  if unstuck_private.is_final(p_job.status) then
    perform unstuck_private.refuse(
      409,
      'already_final',
      jsonb_build_object('status', p_job.status, 'refundedCredits', p_job.credits_refunded)
    );
  end if;
end $$;

revoke all on function unstuck_private.refuse_final from public, anon, authenticated, service_role;
