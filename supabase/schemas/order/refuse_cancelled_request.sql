-- Refuses an order that its user cancelled before it arrived, with already_final.
create or replace function unstuck_private.refuse_cancelled_request(p_user_id uuid, p_job_id uuid)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  if exists (
    select from unstuck.cancelled_requests c
    where c.user_id = p_user_id
      and c.job_id = p_job_id
  ) then
    perform unstuck_private.refuse(
      409,
      'already_final',
      jsonb_build_object('status', 'cancelled', 'refundedCredits', 0)
    );
  end if;
end $$;

revoke all on function unstuck_private.refuse_cancelled_request
from public, anon, authenticated, service_role;
