-- Objects that only the functions and views of `unstuck` use. PostgREST never exposes this schema.
create schema unstuck_private;

revoke all on schema unstuck_private from public, anon, authenticated, service_role;
-- The views run with their caller's rights and use some functions of this schema.
grant usage on schema unstuck_private to authenticated, service_role;
