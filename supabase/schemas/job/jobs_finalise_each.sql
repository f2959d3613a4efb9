-- Finalises jobs as `jobs_finalise` does, and under the same locks, so that no job stops another.
-- Returns a row for each finalised job.
--
-- A job whose ledger disagrees with its row is quarantined first. If the statement for all others
-- fails, it is retried for each half of them, and so on, until the job that cannot be finalised is
-- found; that one is quarantined, unless the failure was no fault of its row, such as a lock. Jobs
-- beyond `p_limit`, or for which no time is left before `p_until`, are left to the next pass.
create or replace function unstuck_private.jobs_finalise_each(
  p_ids uuid[],
  p_statuses text[],
  p_codes text[],
  p_messages text[],
  p_until timestamptz,
  p_limit int default 2147483647
)
returns table (job_id uuid, tool text, status text, refunded bigint)
language plpgsql
set search_path = ''
as
$$
#variable_conflict use_column
declare
  v_odd uuid[];
  v_count int;
  v_half int;
begin
  if coalesce(cardinality(p_ids), 0) = 0 or clock_timestamp() > p_until then
    return;
  end if;
  v_odd := array(
    select j.id
    from unstuck.jobs j
    where j.id = any (p_ids)
      and unstuck_private.has_ledger_mismatch(j)
  );
  if v_odd <> '{}' then
    perform unstuck_private.jobs_quarantine(
      v_odd, 'credits_refunded does not agree with the ledger');
    select array_agg(c.id), array_agg(c.status), array_agg(c.code), array_agg(c.message)
    into p_ids, p_statuses, p_codes, p_messages
    from unnest(p_ids, p_statuses, p_codes, p_messages) as c (id, status, code, message)
    where c.id <> all (v_odd);
  end if;
  p_ids := p_ids[:p_limit];
  v_count := coalesce(cardinality(p_ids), 0);
  v_half := v_count / 2;
  begin
    -- `jobs_finalise` returns its rows at its end, so a failure leaves none behind.
    return query
    select c.job_id, c.tool, c.status, c.refunded
    from unstuck_private.jobs_finalise(p_ids, p_statuses, p_codes, p_messages) c;
    return;
  exception
    when lock_not_available or transaction_rollback or insufficient_resources or system_error then
      -- The failure is no fault of the row, which is left as it is.
      if v_count = 1 then
        return;
      end if;
    when others then
      if v_count = 1 then
        perform unstuck_private.jobs_quarantine(p_ids, sqlerrm);
        return;
      end if;
  end;
  return query
  select c.job_id, c.tool, c.status, c.refunded
  from unstuck_private.jobs_finalise_each(
    p_ids[:v_half], p_statuses[:v_half], p_codes[:v_half], p_messages[:v_half], p_until) c;
  return query
  select c.job_id, c.tool, c.status, c.refunded
  from unstuck_private.jobs_finalise_each(
    p_ids[v_half + 1:], p_statuses[v_half + 1:], p_codes[v_half + 1:], p_messages[v_half + 1:],
    p_until) c;
end $$;

revoke all on function unstuck_private.jobs_finalise_each
from public, anon, authenticated, service_role;
