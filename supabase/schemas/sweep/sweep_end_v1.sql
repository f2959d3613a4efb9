create or replace function unstuck.sweep_end_v1(p_sweep_id bigint, p_delivered int, p_cleaned int, p_refunded_credits bigint)
returns table (stuck int, violations int, remaining int)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '30s'
as
$$
#variable_conflict use_column
begin
  return query
  update unstuck.sweeps s set finished_at = clock_timestamp(), delivered = s.delivered + p_delivered, cleaned = s.cleaned + p_cleaned,
    refunded_credits = s.refunded_credits + p_refunded_credits,
    stuck = unstuck_private.count_stuck(clock_timestamp()), violations = (select count(*) from unstuck_private.violations(clock_timestamp() - interval '1 day'))
  where s.id = p_sweep_id
  returning s.stuck, s.violations, unstuck_private.count_due(clock_timestamp());
end $$;

comment on function unstuck.sweep_end_v1 is $c$
Caller: an edge healer, after its pass. Stores what health reads: stuck rows and violations
among rows touched in the last day.
remaining: due and left over after all that the pass did, also by asking providers.
$c$;

revoke all on function unstuck.sweep_end_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.sweep_end_v1 to service_role;
