-- Returns the deployment that makes this request, if it is not the one to which the database
-- belongs. Null if it is, and where one of them is unknown: pg_cron, psql, the app's own code and
-- Workers without an id name no deployment, and a new database has no row in `deployment`.
create or replace function unstuck_private.other_deployment() returns text
language plpgsql
stable
as
$$
declare
  v_id text := unstuck_private.request_header('x-unstuck-deployment');
begin
  if v_id is null then
    return null;
  end if;
  return (
    select v_id
    from unstuck_private.deployment d
    where d.id <> v_id
  );
end $$;

revoke all on function unstuck_private.other_deployment
from public, anon, authenticated, service_role;
