create or replace function unstuck.jobs_sweep_v1(p_sweep_id bigint, p_limit int)
returns table (
  cleaned int,
  refunded_credits bigint,
  requeued int,
  remaining int,
  tables jsonb
)
language sql
security definer
set search_path = ''
set statement_timeout = '55s'
as
$$
  select unstuck_private.refuse_other_deployment();
  select p.*
  from unstuck_private.sweep_pass(p_sweep_id, p_limit, interval '6 seconds') p
$$;

comment on function unstuck.jobs_sweep_v1 is $c$
Caller: cleanup-stale-jobs, in its pass.

Effect: finalises, or requeues, every job that ran out of time and needs no query to a provider, up
to p_limit jobs and for six seconds. It waits for no lock. A job that cannot be healed is
quarantined. remaining: due, but locked by others or beyond the limit (looking one page ahead).

Refuses: nothing.

Replay: nothing left to do.
$c$;

revoke all on function unstuck.jobs_sweep_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.jobs_sweep_v1 to service_role;
