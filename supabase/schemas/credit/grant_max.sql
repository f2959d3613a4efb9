-- The most that one grant may give. Nine million of them still fit into a balance.
create or replace function unstuck_private.grant_max()
returns bigint
language sql
immutable
as
$$ select 1000000000000 $$;

revoke all on function unstuck_private.grant_max from public, anon, authenticated, service_role;
