-- Settles with the app before the rows of an erased user are deleted: pays the refunds that are
-- owed, for up to ten seconds, and writes the ends of the user's jobs (`p_job_ids`) to the app's
-- tables, with the rows that were owed to them before. Refuses with in_progress, and how many
-- credits and rows are still owed, while anything is left. Account, wallet and jobs are locked.
create or replace function unstuck_private.user_leave_app(p_user_id uuid, p_job_ids uuid[])
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_refunds bigint;
  v_rows bigint;
begin
  perform unstuck_private.refunds_owed_pay(p_user_id, clock_timestamp() + interval '10 seconds');
  select coalesce(sum(o.amount), 0)
  into v_refunds
  from unstuck.refunds_owed o
  where o.job_id = any (p_job_ids);
  insert into unstuck_private.unprojected (job_id)
  select e.job_id
  from unstuck.projection_errors e
  where e.job_id = any (p_job_ids)
    and e.mended_at is null;
  set constraints unstuck_private.unprojected_project immediate;
  select count(*)
  into v_rows
  from unstuck.projection_errors e
  join unstuck.projections p on p.tool = e.tool and p.host_table = e.host_table and p.enabled
  where e.job_id = any (p_job_ids)
    and e.mended_at is null;
  if v_refunds > 0 or v_rows > 0 then
    perform unstuck_private.refuse(409, 'in_progress', jsonb_build_object(
      'refunds_owed', v_refunds, 'rows_owed', v_rows));
  end if;
end $$;

revoke all on function unstuck_private.user_leave_app
from public, anon, authenticated, service_role;
