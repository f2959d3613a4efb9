create or replace function unstuck.jobs_requeue_many_v1(
  p_actor uuid,
  p_filter jsonb,
  p_limit int,
  p_reason text
)
returns table (matched int, done int, refused jsonb, jobs jsonb, providers text[])
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_until timestamptz := clock_timestamp() + interval '6 seconds';
  v_found record;
  v_next record;
  v_job unstuck.jobs;
  v_retry record;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, p_reason);
  perform unstuck_private.refuse_wide_filter(p_filter, p_limit, p_reason);
  v_found := unstuck_private.jobs_matching(p_filter, array['failed'], true, p_limit);
  refused := unstuck_private.jobs_refused(p_filter, p_limit, '{}', '{}', '{}');
  jobs := '[]';
  providers := '{}';
  -- Accounts are locked in the order of their ids, like everywhere. One that is held is left alone:
  -- two that were waited for would take the time of all.
  for v_next in
    select j.id, t.provider
    from unstuck.jobs j
    join unstuck.tools t using (tool)
    where j.id = any (v_found.ids)
    order by j.user_id, j.created_at, j.id
  loop
    exit when clock_timestamp() > v_until;
    begin
      if unstuck_private.jobs_try_lock(array[v_next.id]) = '{}' then
        perform unstuck_private.refuse(409, 'in_progress');
      end if;
      v_job := unstuck_private.job_lock(v_next.id);
      v_retry := unstuck_private.job_retry(v_job, false, gen_random_uuid());
      jobs := jobs || jsonb_build_object('of', v_next.id, 'jobId', v_retry.job_id);
      if v_next.provider <> all (providers) then
        providers := providers || v_next.provider;
      end if;
    exception when others then
      refused := refused || jsonb_build_object(
        'jobId', v_next.id,
        'code', case
          when sqlstate like 'PT%' then sqlerrm
          when sqlstate = '55P03' then 'in_progress'
          else 'internal'
        end
      );
    end;
  end loop;
  if p_limit > 0 then
    perform unstuck_private.admin_log_write(
      'jobs_retried', null, p_filter,
      jsonb_build_object(
        'matched', v_found.total, 'jobs', jobs, 'refused', jsonb_array_length(refused)
      )
    );
  end if;
  return query
  select v_found.total, jsonb_array_length(jobs), refused, jobs, providers;
end $$;

comment on function unstuck.jobs_requeue_many_v1 is $c$
Caller: admin-retry-job, for many jobs. The role of p_actor is read in the same transaction.

Effect: retries up to p_limit of the jobs that p_filter names, as job_requeue_v1 does and free of
charge, for six seconds at most, and writes one row of admin_log. Without ids or a status the failed
jobs are meant that nobody retried yet. matched: all that the filter names; jobs: each retried job
with the job that now works; refused: those that were not, each with a code. It waits for no lock: a
job that is held is refused as in_progress. What is left over is in neither list. With p_limit 0 it
counts.

Refuses: forbidden, bad_request (no filter, no reason, a limit beyond 1,000).

Replay: retries further ones; of one that it retried, the live retry is named once more.
$c$;

revoke all on function unstuck.jobs_requeue_many_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.jobs_requeue_many_v1 to service_role;
