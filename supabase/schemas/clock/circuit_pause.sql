-- How long an open circuit keeps steps waiting until it lets one through as a trial.
create or replace function unstuck_private.circuit_pause()
returns interval
language sql
immutable
as
$$ select interval '1 minute' $$;

revoke all on function unstuck_private.circuit_pause from public, anon, authenticated, service_role;
