-- Refuses an order with active_job_exists while its user has another live job in the tool's
-- exclusive group. The caller has locked the user's account, which makes this check exact for
-- orders; the unique index `jobs_one_live_per_exclusive_key` stops every other writer.
create or replace function unstuck_private.refuse_second_live_job(
  p_user_id uuid,
  p_job_id uuid,
  p_tool unstuck.tools
)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_other unstuck.jobs;
begin
  if p_tool.exclusive_group is null then
    return;
  end if;
  select j.*
  into v_other
  from unstuck.jobs j
  join unstuck.tools t using (tool)
  where j.user_id = p_user_id
    and t.exclusive_group = p_tool.exclusive_group
    and j.id <> p_job_id
    and j.quarantined_at is null
    and (
      j.status in ('starting', 'running')
      -- A queued row without the key was inserted by others. It may be an orphan, and an orphan
      -- blocks nobody.
      or (j.status = 'queued' and j.exclusive_key is not null)
    );
  if found then
    perform unstuck_private.refuse(
      409,
      'active_job_exists',
      jsonb_build_object(
        'activeJobId', v_other.id,
        'activeTool', v_other.tool,
        'activeStatus', unstuck_private.public_status(v_other.status)
      )
    );
  end if;
end $$;

revoke all on function unstuck_private.refuse_second_live_job
from public, anon, authenticated, service_role;
