-- For how long a page that once said that it stays may be silent before it counts as left. Pages
-- say it every minute, so that two words may be lost.
create or replace function unstuck_private.session_silence() returns interval
language sql
immutable
as
$$ select interval '150 seconds' $$;

revoke all on function unstuck_private.session_silence
from public, anon, authenticated, service_role;
