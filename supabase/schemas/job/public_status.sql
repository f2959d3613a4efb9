-- Returns the API's word for a status of a job or step, which is the same for all tools: `pending`
-- and `blocked` are `queued` there, `starting` is `running`.
create or replace function unstuck_private.public_status(p_status text) returns text
language sql
immutable
as
$$
  select case
    when p_status in ('pending', 'blocked') then 'queued'
    when p_status = 'starting' then 'running'
    else p_status
  end
$$;

revoke all on function unstuck_private.public_status
from public, anon, authenticated, service_role;
