-- What an app is told and owes before the rows of a user who is erased go: the ends of these jobs,
-- all of the user, are written to its tables, and refunds that are owed are paid. Refuses while one
-- is left. Account, wallet and jobs are locked.
create or replace function unstuck_private.user_leave_app(p_user_id uuid, p_job_ids uuid[])
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_owed bigint;
begin
  perform unstuck_private.refunds_owed_pay(p_user_id, clock_timestamp() + interval '10 seconds');
  select sum(o.amount)
  into v_owed
  from unstuck.refunds_owed o
  where o.job_id = any (p_job_ids);
  if v_owed > 0 then
    perform unstuck_private.refuse(409, 'in_progress', jsonb_build_object('refunds_owed', v_owed));
  end if;
  set constraints unstuck_private.unprojected_project immediate;
end $$;

revoke all on function unstuck_private.user_leave_app
from public, anon, authenticated, service_role;
