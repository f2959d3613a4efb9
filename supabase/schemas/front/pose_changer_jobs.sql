-- The old name in `public`, only where nothing else has it.
do $do$
begin
  if not unstuck_private.is_name_free('pose_changer_jobs') then
    return;
  end if;
  create view public.pose_changer_jobs
  with (security_invoker = true) as
  select *
  from unstuck.pose_changer_jobs;
  comment on view public.pose_changer_jobs is 'Unstuck front of unstuck.pose_changer_jobs.';
  revoke all on public.pose_changer_jobs from public, anon, authenticated, service_role;
  grant select on public.pose_changer_jobs to authenticated, service_role;
  grant insert, update, delete on public.pose_changer_jobs to authenticated;
end $do$;
