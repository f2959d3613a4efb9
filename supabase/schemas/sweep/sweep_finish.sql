-- Finishes a pass: counts stuck and due jobs, audits for half a second, adds what ended to the
-- counters, and stores in `sweeps` what health reads. Where the count of stuck jobs or of
-- violations fails, is cancelled or takes too long, it is null, which is not healthy; the count of
-- due jobs, `remaining`, is then 0. The pass is finished all the same, and what it healed stays.
-- Returns the counts and what the calling healer shall do next.
create or replace function unstuck_private.sweep_finish(p_sweep_id bigint)
returns table (
  stuck int,
  violations int,
  remaining int,
  ping_queues boolean,
  ask_balances boolean
)
language plpgsql
set search_path = ''
as
$$
declare
  v_stuck int;
  v_violations int;
  v_remaining int := 0;
  v_source text;
begin
  begin
    v_stuck := unstuck_private.count_stuck(clock_timestamp());
    v_remaining := unstuck_private.count_due(clock_timestamp());
  exception when query_canceled or others then
    raise warning 'sweep %: what is left could not be counted: %', p_sweep_id, sqlerrm;
  end;
  begin
    perform unstuck_private.audit(interval '500 milliseconds');
    v_violations := (select count(*) from unstuck.violations_found)
      + (select count(*) from unstuck_private.violations_now());
  exception when query_canceled or others then
    raise warning 'sweep %: the audit failed: %', p_sweep_id, sqlerrm;
  end;
  begin
    perform unstuck_private.counters_fold(clock_timestamp());
  exception when query_canceled or others then
    raise warning 'sweep %: what ended could not be counted: %', p_sweep_id, sqlerrm;
  end;
  update unstuck.sweeps s
  set finished_at = clock_timestamp(), stuck = v_stuck, violations = v_violations
  where s.id = p_sweep_id
  returning s.source
  into v_source;
  perform unstuck_private.healer_mark(
    case v_source when 'sql' then 'sql' else 'edge' end, clock_timestamp());
  return query
  select v_stuck, v_violations, v_remaining,
    v_source <> 'sql' and unstuck_private.queues_ask(clock_timestamp()),
    v_source <> 'sql' and unstuck_private.balances_ask(clock_timestamp());
end $$;

revoke all on function unstuck_private.sweep_finish from public, anon, authenticated, service_role;
