-- Trigger on `tools` for a circuit that opens: owes a new turn to each user whose turn is of this
-- tool and who also has steps of other tools in the provider's queue.
create or replace function unstuck_private.circuit_owes_turns() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  insert into unstuck_private.turns_owed (provider, user_id)
  select distinct s.provider, s.line_user_id
  from unstuck.job_steps s
  where s.provider = new.provider
    and s.status = 'queued'
    and s.turn_at is not null
    and s.line_tool = new.tool
    and exists (
      select from unstuck.job_steps o
      where o.provider = s.provider
        and o.line_user_id = s.line_user_id
        and o.status = 'queued'
        and o.turn_at is null
        and o.line_tool <> new.tool
    )
  on conflict do nothing;
  return null;
end $$;

create or replace trigger circuit_owes_turns
after update of circuit_open_until on unstuck.tools
for each row
when (old.circuit_open_until is null and new.circuit_open_until is not null)
execute function unstuck_private.circuit_owes_turns();

revoke all on function unstuck_private.circuit_owes_turns
from public, anon, authenticated, service_role;
