create or replace function unstuck.generations_stale_v1(p_limit int)
returns table (
  job_id uuid,
  tool text,
  run bigint,
  retries int,
  action text,
  refunded bigint,
  remaining int
)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '30s'
as
$$
#variable_conflict use_column
declare
  v_until timestamptz := clock_timestamp() + interval '6 seconds';
  v_row record;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as('sweep');
  for v_row in
    select s.job_id, s.step,
      greatest(count(*) over () - p_limit, 0)::int as remaining
    from unstuck.job_steps s
    join unstuck.jobs j on j.id = s.job_id
    join unstuck.providers p on p.provider = s.provider
    where p.retried_by_function
      and s.status = 'running'
      and unstuck_private.is_stale_attempt(s, clock_timestamp())
      and not unstuck_private.is_reserved_attempt(s, clock_timestamp())
      and j.quarantined_at is null
    order by j.user_id, s.job_id
    limit greatest(p_limit, 0)
  loop
    exit when clock_timestamp() > v_until;
    continue when unstuck_private.jobs_try_lock(array[v_row.job_id]) = '{}';
    begin
      return query
      select v_row.job_id, s.tool, s.run, s.retries, s.action, s.refunded, v_row.remaining
      from unstuck_private.website_reserve_or_fail(v_row.job_id, v_row.step) s;
    exception
      when lock_not_available or transaction_rollback or insufficient_resources or system_error then
        null;
      when others then
        perform unstuck_private.jobs_quarantine(array[v_row.job_id], sqlerrm);
    end;
  end loop;
end $$;

comment on function unstuck.generations_stale_v1 is $c$
Caller: cleanup-stale-generations.

Effect: goes through websites whose attempt stopped, up to p_limit. action: retry (reserved for 45 s
for the caller, which calls the function of its tool) | failed (no attempt or no time left: failed
and refunded here). What another transaction has locked is left to the next call; a job on which
this fails is quarantined. remaining: stale websites beyond p_limit.

Refuses: nothing.

Replay: a reserved website does not come again for 45 s.
$c$;

revoke all on function unstuck.generations_stale_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.generations_stale_v1 to service_role;
