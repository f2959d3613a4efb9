-- The old name in `public`, only where nothing else has it.
do $do$
begin
  if not unstuck_private.is_name_free('generation_jobs') then
    return;
  end if;
  create view public.generation_jobs
  with (security_invoker = true) as
  select *
  from unstuck.generation_jobs;
  comment on view public.generation_jobs is 'Unstuck front of unstuck.generation_jobs.';
  revoke all on public.generation_jobs from public, anon, authenticated, service_role;
  grant select on public.generation_jobs to authenticated, service_role;
end $do$;
