-- Refuses a call of a Worker of another deployment with 503, wrong_deployment. Every RPC that may
-- write calls it first. So nothing is claimed, ended or charged in a copy of the database, or by
-- the Workers that belong elsewhere.
create or replace function unstuck_private.refuse_other_deployment() returns void
language plpgsql
stable
as
$$
begin
  if unstuck_private.other_deployment() is not null then
    perform unstuck_private.refuse(503, 'wrong_deployment');
  end if;
end $$;

revoke all on function unstuck_private.refuse_other_deployment
from public, anon, authenticated, service_role;
