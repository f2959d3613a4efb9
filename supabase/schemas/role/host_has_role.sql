-- Returns what the app's own `public.has_role(uuid, <role>)` answers; null where the app has no
-- such function, or where the type of its roles lacks this one. It is called with the type of its
-- own argument and under the search path that its code expects. Our front in `public` does not
-- count as the app's.
create or replace function unstuck_private.host_has_role(p_user_id uuid, p_role text)
returns boolean
language plpgsql
stable
set search_path = public, extensions
as
$$
declare
  v_role_type text;
  v_holds boolean;
begin
  select pg_catalog.format_type(t.oid, null)
  into v_role_type
  from pg_catalog.pg_proc p
  join pg_catalog.pg_type t on t.oid = p.proargtypes[1]
  where p.pronamespace = 'public'::regnamespace
    and p.proname = 'has_role'
    and p.prokind = 'f'
    and p.pronargs = 2
    and p.proargtypes[0] = 'uuid'::regtype
    and p.prorettype = 'boolean'::regtype
    and coalesce(pg_catalog.obj_description(p.oid, 'pg_proc'), '') not like 'Unstuck front of %'
    and (
      t.typcategory = 'S'
      or exists (
        select from pg_catalog.pg_enum e
        where e.enumtypid = t.oid and e.enumlabel = p_role
      )
    )
  order by t.typcategory
  limit 1;
  if not found then
    return null;
  end if;
  execute format('select public.has_role($1, $2::%s)', v_role_type)
  into v_holds
  using p_user_id, p_role;
  return coalesce(v_holds, false);
end $$;

revoke all on function unstuck_private.host_has_role from public, anon, authenticated, service_role;
