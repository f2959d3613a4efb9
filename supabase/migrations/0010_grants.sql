-- Who may do what. anon: nothing. authenticated: read own rows through policies, write through the old views only.
-- service_role: the RPCs, and reading; it writes no table directly. Every RPC runs with its owner's rights.

do $$
declare v_function record; v_table text;
begin
  for v_function in
    select p.oid::regprocedure as signature, n.nspname as schema, p.proname as name
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'private' or (n.nspname = 'public' and (p.proname ~ '_v[0-9]+$' or p.proname in
      ('cleanup_all_stale_ai_jobs', 'refund_upscaler_credits', 'consume_upscaler_credits', 'has_role')))
  loop
    execute format('revoke all on function %s from public, anon, authenticated, service_role', v_function.signature);
    if v_function.schema = 'public' then
      execute format('alter function %s security definer', v_function.signature);
      execute format('grant execute on function %s to service_role', v_function.signature);
    end if;
  end loop;
  foreach v_table in array array['user_roles', 'providers', 'tools', 'jobs', 'job_steps', 'job_events', 'credit_accounts', 'credit_entries',
    'cancelled_requests', 'webhook_inbox', 'sweeps', 'upscaler_jobs', 'video_upscaler_jobs', 'pose_changer_jobs', 'veste_ai_jobs',
    'generation_jobs', 'generation_tasks', 'replicate_tasks', 'generation_history', 'job_receipts', 'queue_positions', 'provider_load', 'jobs_by_hour', 'job_health', 'invariant_violations'] loop
    execute format('revoke all on public.%I from public, anon, authenticated, service_role', v_table);
    execute format('grant select on public.%I to service_role', v_table);
  end loop;
end $$;

-- Policies ask for the caller's role, as Supabase apps expect.
grant execute on function public.has_role(uuid, public.app_role) to authenticated;
grant usage on schema private to authenticated, service_role;
grant execute on function private.is_admin(), private.may_see(uuid), private.job_position(uuid), private.job_task_id(uuid),
  private.step_output_url(uuid, int), private.status_word(text, text), private.number_in(text), private.is_live(text), private.is_final(text),
  private.places_seen(), private.load_seen(), private.hours_seen(), private.violations_seen() to authenticated, service_role;

grant select on public.tools, public.providers, public.jobs, public.job_events, public.credit_accounts, public.credit_entries, public.user_roles to authenticated;
-- Owners read neither the provider's request nor what a step made: delivered pictures come through the views.
grant select (job_id, step, status, provider, provider_task_id, run, attempts, rescues, share, not_before, sent_at, started_at, lease_until,
  deadline_at, checked_at, provider_done_at, error_code, error_message, completed_at) on public.job_steps to authenticated;
grant select on public.upscaler_jobs, public.video_upscaler_jobs, public.pose_changer_jobs, public.veste_ai_jobs, public.generation_jobs,
  public.generation_tasks, public.replicate_tasks, public.generation_history, public.job_receipts, public.queue_positions, public.provider_load, public.jobs_by_hour, public.job_health,
  public.invariant_violations to authenticated;
grant insert, update, delete on public.upscaler_jobs, public.video_upscaler_jobs, public.pose_changer_jobs, public.veste_ai_jobs to authenticated;

do $$
declare v_policy record;
begin
  for v_policy in select * from (values
    ('tools', 'true'), ('providers', 'true'),
    ('jobs', 'user_id = auth.uid() or private.is_admin()'),
    ('job_steps', 'exists (select from public.jobs j where j.id = job_id and (j.user_id = auth.uid() or private.is_admin()))'),
    ('job_events', 'private.is_admin()'),
    ('credit_accounts', 'user_id = auth.uid() or private.is_admin()'),
    ('credit_entries', 'user_id = auth.uid() or private.is_admin()'),
    ('user_roles', 'user_id = auth.uid() or private.is_admin()')) as p (name, rule)
  loop
    execute format('drop policy if exists %I on public.%I', v_policy.name || '_read', v_policy.name);
    execute format('create policy %I on public.%I for select to authenticated using (%s)', v_policy.name || '_read', v_policy.name, v_policy.rule);
  end loop;
end $$;

-- Old pages subscribe by Realtime, which views do not feed: the table is published, its rows stay under RLS.
do $$
begin
  if exists (select from pg_publication where pubname = 'supabase_realtime')
     and not exists (select from pg_publication_tables where pubname = 'supabase_realtime' and schemaname = 'public' and tablename = 'jobs') then
    alter publication supabase_realtime add table public.jobs;
  end if;
end $$;

notify pgrst, 'reload schema';
