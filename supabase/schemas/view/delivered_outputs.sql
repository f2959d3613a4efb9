-- The output of each step for those who may see it: for its owner once it was delivered (the step
-- is completed, and the job did not fail as a whole), for an admin and for the service. The view
-- reads with its owner's rights, so its one protected column guards itself.
create view unstuck_private.delivered_outputs as
select
  s.job_id,
  s.step,
  case
    when s.status = 'completed'
      and (j.refund_rule = 'per_step' or j.status = 'completed')
      and (j.user_id = (select auth.uid()) or (select unstuck_private.may_see(null)))
    then s.output_url
  end as output_url
from unstuck.job_steps s
join unstuck.jobs j on j.id = s.job_id;

revoke all on unstuck_private.delivered_outputs
from public, anon, authenticated, service_role;
grant select on unstuck_private.delivered_outputs to authenticated, service_role;
