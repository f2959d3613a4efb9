-- The old name in `public`, only where nothing else has it.
do $do$
begin
  if not unstuck_private.is_name_free('replicate_tasks') then
    return;
  end if;
  create view public.replicate_tasks
  with (security_invoker = true) as
  select *
  from unstuck.replicate_tasks;
  comment on view public.replicate_tasks is 'Unstuck front of unstuck.replicate_tasks.';
  revoke all on public.replicate_tasks from public, anon, authenticated, service_role;
  grant select on public.replicate_tasks to authenticated, service_role;
end $do$;
