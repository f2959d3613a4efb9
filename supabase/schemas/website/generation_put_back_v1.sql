create or replace function unstuck.generation_put_back_v1(p_job_id uuid, p_run bigint)
returns table (applied boolean)
language sql
security definer
set search_path = ''
as
$$
  select unstuck_private.refuse_other_deployment();
  update unstuck.job_steps s
  set checked_at = null
  where s.job_id = p_job_id
    and s.run = p_run
    and s.status = 'running'
  returning true
$$;

comment on function unstuck.generation_put_back_v1 is $c$
Caller: cleanup-stale-generations, when its call of the tool's function failed.

Effect: undoes the reservation, so that the next cleanup tries again at once. No row where another
attempt has begun.

Refuses: nothing.

Replay: changes nothing.
$c$;

revoke all on function unstuck.generation_put_back_v1
from public, anon, authenticated, service_role;
grant execute on function unstuck.generation_put_back_v1 to service_role;
