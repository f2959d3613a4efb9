create or replace function unstuck.sweep_end_v1(
  p_sweep_id bigint,
  p_delivered int,
  p_cleaned int,
  p_refunded_credits bigint
)
returns table (
  stuck int,
  violations int,
  remaining int,
  ping_queues boolean,
  ask_balances boolean
)
language plpgsql
security definer
set search_path = ''
-- PostgREST applies it to the call; elsewhere it bounds nothing.
set statement_timeout = '30s'
as
$$
#variable_conflict use_column
begin
  perform unstuck_private.refuse_other_deployment();
  update unstuck.sweeps s
  set delivered = s.delivered + coalesce(p_delivered, 0),
    cleaned = s.cleaned + coalesce(p_cleaned, 0),
    refunded_credits = unstuck_private.clamp_to_bigint(
      s.refunded_credits::numeric + coalesce(p_refunded_credits, 0)
    )
  where s.id = p_sweep_id;
  if found then
    return query
    select *
    from unstuck_private.sweep_finish(p_sweep_id);
  end if;
end $$;

comment on function unstuck.sweep_end_v1 is $c$
Caller: an edge healer, after its pass.

Effect: adds what the pass did, audits what changed since the last audit, for about half a second at
most, and stores what health reads: stuck jobs and violations. A count that failed is stored as
null, which is not healthy; the pass is finished all the same. It also adds what ended to the
counters of metrics. remaining: jobs that are due after all the pass did; ping_queues: no probe
came through the queues for a while, and the caller shall send some. ask_balances: the caller shall
ask the providers what is left on our accounts.

Refuses: nothing; no row where there is no such pass.

Replay: adds the numbers again.
$c$;

revoke all on function unstuck.sweep_end_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.sweep_end_v1 to service_role;
