create or replace function unstuck.generations_stale_v1(p_limit int)
returns table (job_id uuid, tool text, run bigint, retries int, action text, refunded bigint, remaining int)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '30s'
as
$$
#variable_conflict use_column
declare v_row record; v_job unstuck.jobs; v_step unstuck.job_steps; v_now timestamptz := clock_timestamp(); v_reserved interval := interval '45 seconds';
begin
  perform unstuck_private.act_as('sweep');
  for v_row in
    select s.job_id, s.step, s.run, t.attempt_max, greatest(count(*) over () - p_limit, 0)::int as remaining
    from unstuck.job_steps s join unstuck.jobs j on j.id = s.job_id join unstuck.tools t using (tool)
    where t.table_name = 'generation_history' and s.status = 'running' and unstuck_private.is_stale_attempt(s, v_now) and j.quarantined_at is null
      and coalesce(s.checked_at, '-infinity') <= v_now - v_reserved
    order by j.user_id, s.job_id limit greatest(p_limit, 0)
  loop
    v_job := unstuck_private.job_lock(v_row.job_id);
    v_step := unstuck_private.step_lock(v_row.job_id, v_row.step, v_row.run);
    v_now := clock_timestamp();
    -- Another cleanup, or its owner, came first.
    continue when v_step.job_id is null or not unstuck_private.is_stale_attempt(v_step, v_now) or v_step.checked_at > v_now - v_reserved;
    if v_step.attempts >= v_row.attempt_max or v_job.expires_at <= v_now then
      return query select v_job.id, v_job.tool, v_row.run, v_job.retries, 'failed', g.refunded, v_row.remaining
      from unstuck_private.website_fail(v_job, v_step) g;
    else
      update unstuck.job_steps s set checked_at = v_now where s.job_id = v_row.job_id and s.step = v_row.step;
      return query select v_job.id, v_job.tool, v_row.run, v_job.retries, 'retry', 0::bigint, v_row.remaining;
    end if;
  end loop;
end $$;

comment on function unstuck.generations_stale_v1 is $c$
Caller: cleanup-stale-generations. Websites whose attempt stopped.
action retry: reserved for the caller for 45 s, who calls the function of its tool | failed: no
attempt or time left, closed and refunded here.
remaining: stale ones beyond p_limit.
Replay: what is reserved is not given out again.
$c$;

revoke all on function unstuck.generations_stale_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.generations_stale_v1 to service_role;
