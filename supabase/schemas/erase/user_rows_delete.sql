-- Deletes every row of a user but the purchases, and what is recorded about these jobs, which were
-- the user's. Returns how many entries of the ledger it deleted. Account and jobs are locked.
create or replace function unstuck_private.user_rows_delete(p_user_id uuid, p_job_ids uuid[])
returns bigint
language plpgsql
set search_path = ''
as
$$
declare
  v_entries bigint;
begin
  delete from unstuck.job_events e
  where e.job_id = any (p_job_ids);
  delete from unstuck.webhook_inbox w
  where w.job_id = any (p_job_ids);
  delete from unstuck.job_steps s
  using unstuck.jobs j
  where j.id = s.job_id and j.user_id = p_user_id;
  delete from unstuck.jobs j
  where j.user_id = p_user_id;
  delete from unstuck.projection_errors e
  where e.job_id = any (p_job_ids);
  delete from unstuck.host_requests r
  where r.job_id = any (p_job_ids);
  delete from unstuck.messages_owed m
  where m.user_id = p_user_id;
  delete from unstuck.cancelled_requests c
  where c.user_id = p_user_id;
  delete from unstuck.sessions s
  where s.user_id = p_user_id;
  delete from unstuck_private.turns_owed o
  where o.user_id = p_user_id;
  delete from unstuck.user_roles r
  where r.user_id = p_user_id;
  delete from unstuck.credit_entries e
  where e.user_id = p_user_id;
  get diagnostics v_entries = row_count;
  delete from unstuck.credit_accounts a
  where a.user_id = p_user_id;
  return v_entries;
end $$;

revoke all on function unstuck_private.user_rows_delete
from public, anon, authenticated, service_role;
