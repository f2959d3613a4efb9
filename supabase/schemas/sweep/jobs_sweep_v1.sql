create or replace function unstuck.jobs_sweep_v1(p_sweep_id bigint, p_limit int)
returns table (cleaned int, refunded_credits bigint, requeued int, remaining int, tables jsonb)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '55s'
as
$$
#variable_conflict use_column
declare v_now timestamptz := clock_timestamp(); v_cleaned int; v_refunded bigint; v_requeued int; v_tables jsonb; v_left int;
begin
  with closed as (
    select s.*, t.table_name from unstuck_private.sweep(v_now, null, least(greatest(p_limit, 1), 100000), interval '20 seconds') s left join unstuck.tools t using (tool)
  )
  select count(c.job_id), coalesce(sum(c.refunded), 0), coalesce(sum(c.requeued), 0), coalesce(sum(c.remaining), 0),
    (select jsonb_agg(jsonb_build_object('table_name', n.table_name,
        'cancelled_count', (select count(*) from closed x where x.table_name = n.table_name),
        'refunded_credits', (select coalesce(sum(x.refunded), 0) from closed x where x.table_name = n.table_name)) order by n.table_name)
     from (select distinct table_name from unstuck.tools) n)
  into v_cleaned, v_refunded, v_requeued, v_left, v_tables from closed c;
  update unstuck.sweeps s set cleaned = s.cleaned + v_cleaned, refunded_credits = s.refunded_credits + v_refunded, requeued = s.requeued + v_requeued
  where s.id = p_sweep_id;
  return query select v_cleaned, v_refunded, v_requeued, v_left, v_tables;
end $$;

comment on function unstuck.jobs_sweep_v1 is $c$
Caller: cleanup-stale-jobs. Closes and refunds, or puts back, every row whose clock ran out and
that needs no question to a provider, up to p_limit.
remaining: due, but locked by others or beyond the limit (looked ahead for one page).
Replay: nothing left to do.
$c$;

revoke all on function unstuck.jobs_sweep_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.jobs_sweep_v1 to service_role;
