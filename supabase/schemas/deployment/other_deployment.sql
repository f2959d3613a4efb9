-- The deployment that makes this request, where it is not the one whose database this is; null
-- where it is, and where either of them does not say: pg_cron, psql, the app's own code, Workers
-- without an id, a database without an owner.
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
