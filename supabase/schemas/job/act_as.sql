-- Names the actor of this transaction. The triggers that write `job_events` store it with each
-- transition. What the service does on behalf of a user is the service's act. A healer's call waits
-- for no lock that another transaction holds.
create or replace function unstuck_private.act_as(p_actor text) returns void
language plpgsql
set search_path = ''
as
$$
begin
  perform set_config(
    'unstuck.actor',
    case
      when p_actor = 'user' and unstuck_private.is_call_on_behalf() then 'service'
      else p_actor
    end,
    true
  );
  if unstuck_private.is_healers_call() then
    set local lock_timeout = '20ms';
  end if;
end $$;

revoke all on function unstuck_private.act_as from public, anon, authenticated, service_role;
