create or replace function unstuck.sweep_end_v1(
  p_sweep_id bigint,
  p_delivered int,
  p_cleaned int,
  p_refunded_credits bigint
)
returns table (stuck int, violations int, remaining int)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '30s'
as
$$
#variable_conflict use_column
declare
  v_stuck int;
  v_violations int;
  v_left int;
begin
  -- What the pass healed is kept, whatever becomes of its report: also when that takes too long.
  begin
    v_stuck := unstuck_private.count_stuck(clock_timestamp());
    v_left := unstuck_private.count_due(clock_timestamp());
    select count(*)
    into v_violations
    from unstuck_private.violations(clock_timestamp() - interval '1 day');
  exception when others or query_canceled then
    raise warning 'the report of sweep % failed: %', p_sweep_id, sqlerrm;
  end;
  update unstuck.sweeps s
  set finished_at = clock_timestamp(),
    delivered = s.delivered + p_delivered,
    cleaned = s.cleaned + p_cleaned,
    refunded_credits = unstuck_private.credits_within(
      s.refunded_credits::numeric + p_refunded_credits),
    stuck = v_stuck,
    violations = v_violations
  where s.id = p_sweep_id;
  if found then
    return query
    select v_stuck, v_violations, coalesce(v_left, 0);
  end if;
end $$;

comment on function unstuck.sweep_end_v1 is $c$
Caller: an edge healer, after its pass.

Stores what health reads: stuck rows, and violations among rows touched in the last day; nulls
where they could not be counted.

remaining: due and left over after all that the pass did, also by asking providers.
$c$;

revoke all on function unstuck.sweep_end_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.sweep_end_v1 to service_role;
