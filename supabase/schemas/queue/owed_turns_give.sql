-- Gives up to 100 of the turns that are owed at a provider. The caller has locked the provider.
create or replace function unstuck_private.owed_turns_give(p_provider text) returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_user uuid;
begin
  for v_user in
    delete from unstuck_private.turns_owed o
    where (o.provider, o.user_id) in (
      select w.provider, w.user_id
      from unstuck_private.turns_owed w
      where w.provider = p_provider
      limit 100
      for update skip locked
    )
    returning o.user_id
  loop
    perform unstuck_private.give_turn(p_provider, v_user);
  end loop;
end $$;

revoke all on function unstuck_private.owed_turns_give
from public, anon, authenticated, service_role;
