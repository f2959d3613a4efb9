-- Every RPC that may write calls it first: in a copy of a database, or among Workers of which some
-- belong elsewhere, nothing is claimed, ended or charged.
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
