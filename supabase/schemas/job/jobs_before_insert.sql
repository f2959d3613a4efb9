-- Fills in what a writer leaves out of a new job: a live job always has a deadline, a final one a
-- time of completion, and an order the id of its request.
create or replace function unstuck_private.jobs_before_insert() returns trigger
language plpgsql
set search_path = ''
as
$$
declare
  v_tool unstuck.tools;
  v_from timestamptz;
begin
  select t.*
  into v_tool
  from unstuck.tools t
  where t.tool = new.tool;
  if not found then
    -- The foreign key refuses the row.
    return new;
  end if;
  new.refund_rule := coalesce(new.refund_rule, v_tool.refund_rule);
  v_from := coalesce(new.started_at, new.created_at);
  new.expires_at := coalesce(
    new.expires_at,
    v_from + unstuck_private.job_lifetime(new.tool, new.total_steps)
  );
  new.deadline_at := coalesce(
    new.deadline_at,
    case new.status
      when 'pending' then v_from + (select i.orphan from unstuck_private.intervals() i)
      when 'queued' then v_from + v_tool.queue_ttl
      else v_from + v_tool.run_timeout
    end
  );
  new.request_id := coalesce(
    new.request_id,
    left(unstuck_private.request_header('x-unstuck-request'), 100)
  );
  if unstuck_private.is_final(new.status) then
    new.completed_at := coalesce(new.completed_at, new.updated_at);
  end if;
  return new;
end $$;

create or replace trigger jobs_before_insert
before insert on unstuck.jobs
for each row
execute function unstuck_private.jobs_before_insert();

revoke all on function unstuck_private.jobs_before_insert
from public, anon, authenticated, service_role;
