-- The old name in `public`, only where nothing else has it.
do $do$
begin
  if not unstuck_private.is_name_free('upscaler_jobs') then
    return;
  end if;
  create view public.upscaler_jobs
  with (security_invoker = true) as
  select *
  from unstuck.upscaler_jobs;
  comment on view public.upscaler_jobs is 'Unstuck front of unstuck.upscaler_jobs.';
  revoke all on public.upscaler_jobs from public, anon, authenticated, service_role;
  grant select on public.upscaler_jobs to authenticated, service_role;
  grant insert, update, delete on public.upscaler_jobs to authenticated;
end $do$;
