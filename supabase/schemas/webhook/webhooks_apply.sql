-- Marks the webhooks of a step as applied, those of this run and of earlier ones, because what they
-- report is done.
create or replace function unstuck_private.webhooks_apply(p_job_id uuid, p_step int, p_run bigint)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  update unstuck.webhook_inbox w
  set applied_at = clock_timestamp()
  where w.job_id = p_job_id
    and w.step = p_step
    and w.run <= p_run
    and w.applied_at is null;
end $$;

revoke all on function unstuck_private.webhooks_apply
from public, anon, authenticated, service_role;
