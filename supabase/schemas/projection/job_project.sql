-- Writes one job to one table of the app, as the app's own service. Whatever the app's triggers
-- raise, deferred ones included, becomes a row of `projection_errors` and stops nothing; a
-- successful write marks the earlier error as mended.
--
-- It locks the app's rows first (`host_rows_lock`) and waits at most `p_wait_ms` for those and for
-- any other lock of the app. Null means that no time is left: the write is then owed.
create or replace function unstuck_private.job_project(
  p_job_id uuid,
  p_projection unstuck.projections,
  p_wait_ms int
)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_before jsonb;
  v_error text := 'no time was left';
begin
  if p_wait_ms is not null then
    begin
      v_before := unstuck_private.host_enter(
        p_projection.settings || jsonb_build_object(
          'lock_timeout', p_wait_ms || 'ms', 'unstuck.projecting', 'on'));
      perform set_config('search_path', 'public, extensions', true);
      perform unstuck_private.host_rows_lock(p_job_id, p_projection.tool, p_wait_ms);
      execute unstuck_private.projection_statement(p_projection)
      using p_job_id, p_projection.statuses;
      set constraints all immediate;
      perform unstuck_private.settings_swap(v_before);
      v_error := null;
    exception when others then
      v_error := sqlerrm;
    end;
  end if;
  if v_error is null then
    update unstuck.projection_errors e
    set mended_at = clock_timestamp()
    where e.job_id = p_job_id
      and e.host_table = p_projection.host_table
      and e.mended_at is null;
    return;
  end if;
  insert into unstuck.projection_errors as e (tool, host_table, job_id, error)
  values (p_projection.tool, p_projection.host_table, p_job_id, v_error)
  on conflict (job_id, host_table)
  where mended_at is null
  do update
  set error = excluded.error,
    tries = e.tries + 1;
end $$;

revoke all on function unstuck_private.job_project from public, anon, authenticated, service_role;
