-- Makes one pass over all users: the work for the app (`heal_app`, for a quarter of `p_budget`),
-- the healing (`sweep`, for `p_budget`), and the pruning of old rows. Adds what it healed to the
-- row of the pass and returns it, in all and by table.
create or replace function unstuck_private.sweep_pass(
  p_sweep_id bigint,
  p_limit int,
  p_budget interval
)
returns table (
  cleaned int,
  refunded_credits bigint,
  requeued int,
  remaining int,
  tables jsonb
)
language plpgsql
set search_path = ''
as
$$
#variable_conflict use_column
declare
  v_sums record;
begin
  perform unstuck_private.heal_app(clock_timestamp() + p_budget / 4);
  with closed as (
    select s.*, t.table_name
    from unstuck_private.sweep(
      clock_timestamp(), null, least(greatest(p_limit, 1), 100000), p_budget) s
    left join unstuck.tools t using (tool)
  )
  select
    count(c.job_id)::int as cleaned,
    unstuck_private.clamp_to_bigint(coalesce(sum(c.refunded), 0)) as refunded,
    coalesce(sum(c.requeued), 0)::int as requeued,
    coalesce(sum(c.remaining), 0)::int as remaining,
    (
      select jsonb_agg(
        jsonb_build_object(
          'table_name', n.table_name,
          'cancelled_count', (
            select count(*)
            from closed x
            where x.table_name = n.table_name
          ),
          'refunded_credits', (
            select unstuck_private.clamp_to_bigint(coalesce(sum(x.refunded), 0))
            from closed x
            where x.table_name = n.table_name
          )
        )
        order by n.table_name
      )
      from (select distinct t.table_name from unstuck.tools t) n
    ) as tables
  into v_sums
  from closed c;
  update unstuck.sweeps s
  set cleaned = s.cleaned + v_sums.cleaned,
    refunded_credits = unstuck_private.clamp_to_bigint(
      s.refunded_credits::numeric + v_sums.refunded),
    requeued = s.requeued + v_sums.requeued
  where s.id = p_sweep_id;
  -- A failure here undoes nothing that the pass healed.
  begin
    perform 1
    from unstuck_private.prune_old_rows(clock_timestamp());
  exception when others or query_canceled then
    raise warning 'sweep %: pruning failed: %', p_sweep_id, sqlerrm;
  end;
  return query
  select v_sums.cleaned, v_sums.refunded, v_sums.requeued, v_sums.remaining, v_sums.tables;
end $$;

revoke all on function unstuck_private.sweep_pass from public, anon, authenticated, service_role;
