create or replace function unstuck.user_on_behalf_v1(p_user_id uuid) returns boolean
language plpgsql
stable
security definer
set search_path = ''
as
$$
declare
  v_is_anonymous boolean;
begin
  select coalesce((to_jsonb(u) ->> 'is_anonymous')::boolean, false)
  into v_is_anonymous
  from auth.users u
  where u.id = p_user_id;
  if not found then
    perform unstuck_private.refuse(404, 'not_found', '{"field": "onBehalfOf"}');
  end if;
  return v_is_anonymous;
exception
  when invalid_schema_name or undefined_table or insufficient_privilege then
    -- Our role cannot read the users of the project: whoever is named has a wallet or has none.
    return false;
end $$;

comment on function unstuck.user_on_behalf_v1 is $c$
Caller: every function that the service may call on behalf of a user.

Effect: none; whether the user is anonymous.

Refuses: not_found, for a user whom the project does not have.

Replay: reads again.
$c$;

revoke all on function unstuck.user_on_behalf_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.user_on_behalf_v1 to service_role;
