-- True when `public` has nothing by this name yet, of whatever kind or signature.
create or replace function unstuck_private.is_name_free(p_name text) returns boolean
language sql
stable
set search_path = ''
as
$$
  select not exists (
    select from pg_catalog.pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relname = p_name
  ) and not exists (
    select from pg_catalog.pg_proc p
    where p.pronamespace = 'public'::regnamespace and p.proname = p_name
  ) and not exists (
    select from pg_catalog.pg_type t
    where t.typnamespace = 'public'::regnamespace and t.typname = p_name
  )
$$;

revoke all on function unstuck_private.is_name_free from public, anon, authenticated, service_role;
