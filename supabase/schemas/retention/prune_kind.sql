-- Prunes up to `p_limit` rows of one kind that were kept for longer than `p_keep`, and returns how
-- many; for `cron_runs`, how many it has passed. It skips locked rows and the first `p_skip` of the
-- others. 0 for files and for unknown kinds.
create or replace function unstuck_private.prune_kind(
  p_kind text,
  p_now timestamptz,
  p_keep interval,
  p_limit int,
  p_skip int
)
returns int
language plpgsql
set search_path = ''
as
$$
declare
  v_before timestamptz := p_now - p_keep;
begin
  return case p_kind
    when 'job_events' then unstuck_private.prune_job_events(v_before, p_limit, p_skip)
    when 'webhook_inbox' then unstuck_private.prune_webhook_inbox(v_before, p_limit, p_skip)
    when 'sweeps' then unstuck_private.prune_sweeps(v_before, p_limit, p_skip)
    when 'cancelled_requests' then
      unstuck_private.prune_cancelled_requests(v_before, p_limit, p_skip)
    when 'sessions' then unstuck_private.prune_sessions(v_before, p_limit, p_skip)
    when 'inputs' then unstuck_private.prune_inputs(v_before, p_limit, p_skip)
    when 'orphans' then unstuck_private.prune_orphans(v_before, p_limit, p_skip)
    when 'erased_jobs' then
      unstuck_private.prune_erased_jobs(p_now, v_before, p_limit, p_skip)
    when 'provider_alarms' then
      unstuck_private.prune_provider_alarms(v_before, p_limit, p_skip)
    when 'projection_errors' then
      unstuck_private.prune_projection_errors(v_before, p_limit, p_skip)
    when 'messages' then unstuck_private.prune_messages(v_before, p_limit, p_skip)
    when 'cron_runs' then unstuck_private.prune_cron_runs(v_before, p_limit)
    -- Files, which SQL must not delete, and kinds of a later version.
    else 0
  end;
end $$;

revoke all on function unstuck_private.prune_kind from public, anon, authenticated, service_role;
