-- The old name in `public`, only where nothing else has it.
do $do$
begin
  if not unstuck_private.is_name_free('app_role') then
    return;
  end if;
  create domain public.app_role as unstuck.app_role;
  comment on domain public.app_role is 'Unstuck front of unstuck.app_role.';
  revoke all on type public.app_role from public, anon, authenticated, service_role;
  grant usage on type public.app_role to public;
end $do$;
