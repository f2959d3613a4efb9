-- The most credits that one grant may give. A balance holds nine million such grants.
create or replace function unstuck_private.grant_max()
returns bigint
language sql
immutable
as
$$ select 1000000000000 $$;

revoke all on function unstuck_private.grant_max from public, anon, authenticated, service_role;
