-- The old name in `public`, only where nothing else has it.
do $do$
begin
  if not unstuck_private.is_name_free('has_role') then
    return;
  end if;
  create function public.has_role(_user_id uuid, _role unstuck.app_role)
  returns boolean
  language sql
  stable
  set search_path = ''
  as $fn$
    select unstuck.has_role(_user_id, _role)
  $fn$;
  comment on function public.has_role is 'Unstuck front of unstuck.has_role.';
  revoke all on function public.has_role from public, anon, authenticated, service_role;
  grant execute on function public.has_role to authenticated, service_role;
end $do$;
