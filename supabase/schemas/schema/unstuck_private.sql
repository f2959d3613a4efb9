-- What only the functions and views of `unstuck` use. PostgREST never exposes it.
create schema unstuck_private;

revoke all on schema unstuck_private from public, anon, authenticated, service_role;
-- The views run as their caller and use some functions in here.
grant usage on schema unstuck_private to authenticated, service_role;
