-- The old name in `public`, only where nothing else has it.
do $do$
begin
  if not unstuck_private.is_name_free('user_roles') then
    return;
  end if;
  create view public.user_roles
  with (security_invoker = true) as
  select *
  from unstuck.user_roles;
  comment on view public.user_roles is 'Unstuck front of unstuck.user_roles.';
  revoke all on public.user_roles from public, anon, authenticated, service_role;
  grant select on public.user_roles to authenticated, service_role;
end $do$;
