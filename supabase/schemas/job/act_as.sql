-- Stores `p_actor` as the actor of this transaction; the triggers that write `job_events` put it
-- into each row. What the service does on behalf of a user counts as done by the service. In a
-- healer's call (`is_healers_call`) it also limits each wait for a lock to 20 ms from here on.
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
