-- Returns the user whom this seller named with a subscription of which these facts are; null where
-- nobody was. A renewal itself names nobody where the first payment was by a payment link.
create or replace function unstuck_private.subscription_user(p_seller text, p_facts jsonb)
returns uuid
language plpgsql
stable
as
$$
begin
  return (
    select min((f ->> 'userId') collate "C")::uuid
    from jsonb_array_elements(jsonb_path_query_array(p_facts, '$[*].subscription')) as o (name)
    join unstuck.purchases p
      on p.seller = p_seller
      and jsonb_path_query_array(p.facts, '$[*].subscription') @> o.name
    cross join jsonb_array_elements(p.facts) as e (f)
    where f -> 'subscription' = o.name
  );
end $$;

revoke all on function unstuck_private.subscription_user
from public, anon, authenticated, service_role;
