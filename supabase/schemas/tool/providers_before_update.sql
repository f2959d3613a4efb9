-- Trigger that records when `max_concurrent` is lowered, because steps that were claimed before may
-- exceed the new limit without a violation. It also forgets the learned limit when an operator
-- changes `max_concurrent`, and where the learned limit is not lower.
create or replace function unstuck_private.providers_before_update() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  if new.max_concurrent < old.max_concurrent then
    new.limit_changed_at := clock_timestamp();
  end if;
  if new.max_concurrent <> old.max_concurrent or new.learned_limit >= new.max_concurrent then
    new.learned_limit := null;
  end if;
  if new.learned_limit is null then
    new.limit_probe_at := null;
  end if;
  return new;
end $$;

create or replace trigger providers_before_update
before update on unstuck.providers
for each row
execute function unstuck_private.providers_before_update();

revoke all on function unstuck_private.providers_before_update
from public, anon, authenticated, service_role;
