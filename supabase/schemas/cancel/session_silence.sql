-- How long a page that has said that it stays may be silent before it counts as left. A page says
-- it every minute, so one message may be lost; after two lost messages in a row the page counts as
-- left.
create or replace function unstuck_private.session_silence() returns interval
language sql
immutable
as
$$ select interval '150 seconds' $$;

revoke all on function unstuck_private.session_silence
from public, anon, authenticated, service_role;
