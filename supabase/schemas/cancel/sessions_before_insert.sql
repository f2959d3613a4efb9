-- Trigger that fills in what a writer leaves out of a new session: it counts as left once its page
-- has been silent for too long.
create or replace function unstuck_private.sessions_before_insert() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  new.left_at := coalesce(
    new.left_at,
    coalesce(new.seen_at, clock_timestamp()) + unstuck_private.session_silence()
  );
  return new;
end $$;

create or replace trigger sessions_before_insert
before insert on unstuck.sessions
for each row
execute function unstuck_private.sessions_before_insert();

revoke all on function unstuck_private.sessions_before_insert
from public, anon, authenticated, service_role;
