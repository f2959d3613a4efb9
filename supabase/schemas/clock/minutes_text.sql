-- A number of minutes as text: `1 minute`, `2 minutes`.
create or replace function unstuck_private.minutes_text(p_minutes int) returns text
language sql
immutable
as
$$
  select p_minutes || case p_minutes when 1 then ' minute' else ' minutes' end
$$;

revoke all on function unstuck_private.minutes_text from public, anon, authenticated, service_role;
