-- Refuses a new job that would wait longer than the `queue_ttl` of its tool, with queue_full and in
-- how many seconds a retry is worthwhile.
create or replace function unstuck_private.refuse_full_queue(
  p_job_id uuid,
  p_tool unstuck.tools
)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_seconds_over int := unstuck_private.seconds_over_queue_ttl(p_job_id, p_tool);
begin
  if v_seconds_over > 0 then
    perform unstuck_private.refuse(
      503, 'queue_full', jsonb_build_object('retry_after', v_seconds_over));
  end if;
end $$;

revoke all on function unstuck_private.refuse_full_queue
from public, anon, authenticated, service_role;
