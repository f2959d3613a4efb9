-- Prunes in one pass every kind of row that is not kept for ever: of each kind up to 5,000 rows in
-- batches, for about 100 ms. Returns for each kind how many rows it pruned and the last error. It
-- waits for a lock for 50 ms at most, and a second pass meanwhile returns at once.
--
-- A row that cannot be deleted, because of a foreign key or a trigger of the app, is skipped and
-- its error recorded. It undoes nothing else. A kind that failed within the last hour begins with a
-- batch of one row, so that it does not spend its time on the same failure.
create or replace function unstuck_private.prune_old_rows(p_now timestamptz)
returns table (kind text, pruned int, error text)
language plpgsql
set search_path = ''
set lock_timeout = '50ms'
as
$$
#variable_conflict use_column
declare
  v_rule record;
  v_began_at timestamptz;
  v_batch int;
  v_skip int;
  v_pruned int;
  v_total int;
  v_error text;
begin
  if not pg_catalog.pg_try_advisory_xact_lock(
    pg_catalog.hashtextextended('unstuck_private.prune_old_rows', 0)
  ) then
    return;
  end if;
  for v_rule in
    select
      r.kind,
      r.keep,
      coalesce(p.error_at > clock_timestamp() - interval '1 hour', false) as failed_lately
    from unstuck.retention r
    left join unstuck_private.retention_progress p on p.kind = r.kind
    where r.keep is not null
    order by r.kind
  loop
    v_began_at := clock_timestamp();
    v_batch := case when v_rule.failed_lately then 1 else 500 end;
    v_skip := 0;
    v_total := 0;
    v_error := null;
    loop
      begin
        v_pruned := unstuck_private.prune_kind(v_rule.kind, p_now, v_rule.keep, v_batch, v_skip);
        v_total := v_total + v_pruned;
        exit when v_pruned = 0;
        v_batch := least(v_batch * 2, 500);
      exception when others then
        if v_error is null then
          v_began_at := clock_timestamp();
        end if;
        v_error := sqlerrm;
        v_skip := v_skip + (v_batch = 1)::int;
        v_batch := 1;
        exit when v_skip >= 20;
      end;
      exit when v_total > 5000 - v_batch or clock_timestamp() - v_began_at > interval '100 ms';
    end loop;
    if v_total > 0 or v_error is not null then
      insert into unstuck_private.retention_progress as p (kind, pruned, pruned_at, error, error_at)
      values (
        v_rule.kind,
        v_total,
        case when v_total > 0 then clock_timestamp() end,
        v_error,
        case when v_error is not null then clock_timestamp() end
      )
      on conflict (kind) do update
      set
        pruned = p.pruned + excluded.pruned,
        pruned_at = coalesce(excluded.pruned_at, p.pruned_at),
        error = coalesce(excluded.error, p.error),
        error_at = coalesce(excluded.error_at, p.error_at);
    end if;
    return query select v_rule.kind, v_total, v_error;
  end loop;
end $$;

revoke all on function unstuck_private.prune_old_rows
from public, anon, authenticated, service_role;
