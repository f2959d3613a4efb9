-- The old name in `public`, only where nothing else has it.
do $do$
begin
  if not unstuck_private.is_name_free('veste_ai_jobs') then
    return;
  end if;
  create view public.veste_ai_jobs
  with (security_invoker = true) as
  select *
  from unstuck.veste_ai_jobs;
  comment on view public.veste_ai_jobs is 'Unstuck front of unstuck.veste_ai_jobs.';
  revoke all on public.veste_ai_jobs from public, anon, authenticated, service_role;
  grant select on public.veste_ai_jobs to authenticated, service_role;
  grant insert, update, delete on public.veste_ai_jobs to authenticated;
end $do$;
