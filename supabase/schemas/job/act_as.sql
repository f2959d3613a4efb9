-- Names the actor of this transaction. The triggers that write `job_events` store it with each
-- transition.
create or replace function unstuck_private.act_as(p_actor text) returns void
language plpgsql
set search_path = ''
as
$$
begin
  perform set_config('unstuck.actor', p_actor, true);
end $$;

revoke all on function unstuck_private.act_as from public, anon, authenticated, service_role;
