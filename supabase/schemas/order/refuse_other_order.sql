-- Refuses an order under the id of another order with idempotency_conflict: the other one is of
-- another user or tool, or has another request.
create or replace function unstuck_private.refuse_other_order(
  p_job unstuck.jobs,
  p_user_id uuid,
  p_tool text,
  p_request_hash text
)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  if p_job.user_id <> p_user_id
    or p_job.tool <> p_tool
    or p_job.request_hash <> p_request_hash
  then
    perform unstuck_private.refuse(409, 'idempotency_conflict');
  end if;
end $$;

revoke all on function unstuck_private.refuse_other_order
from public, anon, authenticated, service_role;
