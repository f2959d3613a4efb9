create or replace function unstuck.cleanup_all_stale_ai_jobs()
returns table (table_name text, cancelled_count int, refunded_credits bigint)
language plpgsql
security definer
set search_path = ''
-- PostgREST applies it to the call; for pg_cron and psql the time budgets of the healing and of its
-- report bound this function.
set statement_timeout = '55s'
as
$$
#variable_conflict use_column
declare
  v_sweep bigint;
begin
  perform unstuck_private.refuse_other_deployment();
  insert into unstuck.sweeps (source)
  values ('sql')
  returning id into v_sweep;
  return query
  select x.table_name, x.cancelled_count, x.refunded_credits
  from unstuck_private.sweep_pass(v_sweep, 20000, interval '20 seconds') p
  cross join jsonb_to_recordset(p.tables)
    as x (table_name text, cancelled_count int, refunded_credits bigint);
  -- One transaction with the healing, which no failure of the report undoes.
  perform unstuck_private.sweep_finish(v_sweep);
end $$;

comment on function unstuck.cleanup_all_stale_ai_jobs is $c$
Caller: pg_cron every minute, and an operator.

Effect: the healer that needs no edge. It finalises every live job that ran out of time, of all
tools, with its refund. A step that was sent to an asynchronous provider waits 3 minutes past its
deadline for an edge healer, which can query the provider. It waits for no lock, no job stops the
others, and a failed report undoes no healing. Always seven rows, one per table.

Refuses: nothing.

Replay: zeros.
$c$;

revoke all on function unstuck.cleanup_all_stale_ai_jobs
from public, anon, authenticated, service_role;
grant execute on function unstuck.cleanup_all_stale_ai_jobs to service_role;
