-- The old name in `public`, only where nothing else has it.
do $do$
begin
  if not unstuck_private.is_name_free('generation_history') then
    return;
  end if;
  create view public.generation_history
  with (security_invoker = true) as
  select *
  from unstuck.generation_history;
  comment on view public.generation_history is 'Unstuck front of unstuck.generation_history.';
  revoke all on public.generation_history from public, anon, authenticated, service_role;
  grant select on public.generation_history to authenticated, service_role;
end $do$;
