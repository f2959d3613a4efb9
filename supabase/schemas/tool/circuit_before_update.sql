-- Trigger for a circuit that is closed by emptying `circuit_open_until`, by an accepted step or an
-- operator: clears the circuit's other columns and records when it was closed.
create or replace function unstuck_private.circuit_before_update() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  new.account_faults := 0;
  new.circuit_reason := null;
  new.circuit_opened_at := null;
  new.circuit_closed_at := clock_timestamp();
  return new;
end $$;

create or replace trigger providers_circuit_closed
before update on unstuck.providers
for each row
when (old.circuit_open_until is not null and new.circuit_open_until is null)
execute function unstuck_private.circuit_before_update();

create or replace trigger tools_circuit_closed
before update on unstuck.tools
for each row
when (old.circuit_open_until is not null and new.circuit_open_until is null)
execute function unstuck_private.circuit_before_update();

revoke all on function unstuck_private.circuit_before_update
from public, anon, authenticated, service_role;
