-- The old name in `public`, only where nothing else has it.
do $do$
begin
  if not unstuck_private.is_name_free('cleanup_all_stale_ai_jobs') then
    return;
  end if;
  create function public.cleanup_all_stale_ai_jobs()
  returns table (table_name text, cancelled_count int, refunded_credits bigint)
  language sql
  set search_path = ''
  as $fn$
    select *
    from unstuck.cleanup_all_stale_ai_jobs()
  $fn$;
  comment on function public.cleanup_all_stale_ai_jobs
  is 'Unstuck front of unstuck.cleanup_all_stale_ai_jobs.';
  revoke all on function public.cleanup_all_stale_ai_jobs
  from public, anon, authenticated, service_role;
  grant execute on function public.cleanup_all_stale_ai_jobs to service_role;
end $do$;
