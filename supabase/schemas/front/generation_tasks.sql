-- The old name in `public`, only where nothing else has it.
do $do$
begin
  if not unstuck_private.is_name_free('generation_tasks') then
    return;
  end if;
  create view public.generation_tasks
  with (security_invoker = true) as
  select *
  from unstuck.generation_tasks;
  comment on view public.generation_tasks is 'Unstuck front of unstuck.generation_tasks.';
  revoke all on public.generation_tasks from public, anon, authenticated, service_role;
  grant select on public.generation_tasks to authenticated, service_role;
end $do$;
