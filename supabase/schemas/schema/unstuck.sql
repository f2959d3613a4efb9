-- The tables, views and RPCs of Unstuck: the schema that PostgREST exposes.
create schema unstuck;

revoke all on schema unstuck from public, anon, authenticated, service_role;
-- Nobody, who has the anon key, reads what is sold.
grant usage on schema unstuck to anon, authenticated, service_role;
