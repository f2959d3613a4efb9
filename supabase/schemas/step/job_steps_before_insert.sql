-- Trigger that fills in what a writer leaves out of a new step: a live step always has a deadline,
-- a final one a time of completion. A queued step joins its provider's queue (`take_turn`).
create or replace function unstuck_private.job_steps_before_insert() returns trigger
language plpgsql
set search_path = ''
as
$$
declare
  v_job unstuck.jobs;
  v_tool unstuck.tools;
begin
  select j.*
  into v_job
  from unstuck.jobs j
  where j.id = new.job_id;
  if not found then
    -- The foreign key refuses the row.
    return new;
  end if;
  select t.*
  into v_tool
  from unstuck.tools t
  where t.tool = v_job.tool;
  new.provider := coalesce(new.provider, v_tool.provider);
  new.deadline_at := coalesce(
    new.deadline_at,
    case
      when new.status = 'blocked' then v_job.expires_at
      when new.status = 'queued' then v_job.deadline_at
      else
        coalesce(new.sent_at, new.started_at, v_job.started_at, v_job.created_at)
        + v_tool.run_timeout
    end
  );
  new.line_tool := v_job.tool;
  if new.status = 'queued' then
    new.line_user_id := v_job.user_id;
    new.line_since := coalesce(v_job.queued_at, v_job.created_at);
    new.turn_at := unstuck_private.take_turn(
      new.provider, new.line_user_id, greatest(new.line_since, new.not_before));
  elsif unstuck_private.is_final(new.status) then
    new.completed_at := coalesce(new.completed_at, clock_timestamp());
  end if;
  return new;
end $$;

create or replace trigger job_steps_before_insert
before insert on unstuck.job_steps
for each row
execute function unstuck_private.job_steps_before_insert();

revoke all on function unstuck_private.job_steps_before_insert
from public, anon, authenticated, service_role;
