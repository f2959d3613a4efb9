-- Ends live jobs with everything that belongs to them: steps, refunds, balances and the rows
-- themselves. Returns what became of each job. `p_output` and `p_output_url` are the result of a
-- single job. The caller has locked the accounts (by id) and then the jobs.
--
-- The columns of credits are written anew from the ledger. Where more was refunded than taken, the
-- row shows as much as was taken, and the message says what the ledger shows. Without `p_refund`
-- nothing is refunded, whatever is due.
create or replace function unstuck_private.jobs_finalise(
  p_ids uuid[],
  p_statuses text[],
  p_codes text[],
  p_messages text[],
  p_refund boolean default true,
  p_output jsonb default null,
  p_output_url text default null
)
returns table (job_id uuid, tool text, status text, refunded bigint)
language plpgsql
set search_path = ''
-- Planning would cost more than the work on a few jobs.
set plan_cache_mode = force_generic_plan
as
$$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_ids uuid[];
  v_statuses text[];
  v_codes text[];
  v_messages text[];
begin
  if cardinality(p_ids) > 10 then
    perform set_config('plan_cache_mode', 'force_custom_plan', true);
  end if;
  select array_agg(c.id), array_agg(c.status), array_agg(c.code), array_agg(c.message)
  into v_ids, v_statuses, v_codes, v_messages
  from unnest(p_ids, p_statuses, p_codes, p_messages) as c (id, status, code, message)
  join unstuck.jobs j using (id)
  where unstuck_private.is_live(j.status);

  if exists (
    select from unstuck.job_steps s
    where s.job_id = any (v_ids)
      and not unstuck_private.is_final(s.status)
  ) then
    update unstuck.job_steps s
    set status = case c.status when 'cancelled' then 'cancelled' else 'failed' end,
      error_code = coalesce(c.code, 'CANCELLED'),
      error_message = coalesce(c.code, 'CANCELLED') || ': ' || c.message,
      completed_at = v_now,
      lease_until = null,
      checked_at = null,
      provider_cancel_due = unstuck_private.cancel_debt_with(s)
    from unnest(v_ids, v_statuses, v_codes, v_messages) as c (id, status, code, message)
    where s.job_id = c.id
      and not unstuck_private.is_final(s.status);
  end if;

  return query
  update unstuck.jobs j
  set status = c.status,
    credits_charged = r.debit,
    credits_refunded = least(r.refunded::numeric + r.given, r.debit),
    error_code = case when c.status <> 'completed' then c.code end,
    error_message = case when c.status <> 'completed' then
      c.code || ': ' || c.message
      || case when r.given > 0 then format(' %s credits were returned.', r.given) else '' end
      || case
        when r.refunded::numeric + r.given > r.debit then
          format(' The ledger shows %s credits returned of %s.',
            r.refunded::numeric + r.given, r.debit)
        else ''
      end
    end,
    current_step = case when c.status = 'completed' then j.total_steps else j.current_step end,
    output = coalesce(p_output, j.output),
    output_url = coalesce(p_output_url, j.output_url),
    completed_at = v_now,
    deadline_at = least(j.deadline_at, v_now)
  from unnest(v_ids, v_statuses, v_codes, v_messages) as c (id, status, code, message)
  join unstuck_private.jobs_refund(v_ids, v_statuses, v_codes, p_refund) r on r.job_id = c.id
  where j.id = c.id
  returning j.id, j.tool, j.status, r.given;
end $$;

revoke all on function unstuck_private.jobs_finalise from public, anon, authenticated, service_role;
