create or replace function unstuck.jobs_cancel_many_v1(
  p_actor uuid,
  p_filter jsonb,
  p_limit int,
  p_reason text
)
returns table (
  matched int,
  done int,
  refused jsonb,
  refunded_credits bigint,
  providers text[]
)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_until timestamptz := clock_timestamp() + interval '6 seconds';
  v_message text := 'cancelled by an admin: ' || trim(trailing '.' from trim(p_reason)) || '.';
  v_live uuid[];
  v_locked uuid[];
  v_done uuid[];
  v_found record;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, p_reason);
  perform unstuck_private.refuse_wide_filter(p_filter, p_limit, p_reason);
  v_found := unstuck_private.jobs_matching(
    p_filter, array['pending', 'queued', 'starting', 'running'], false, p_limit);
  v_live := array(
    select j.id
    from unstuck.jobs j
    where j.id = any (v_found.ids) and unstuck_private.is_live(j.status)
  );
  v_locked := unstuck_private.jobs_try_lock(v_live);
  -- Under the locks: a job may have ended meanwhile.
  v_locked := array(
    select j.id
    from unstuck.jobs j
    where j.id = any (v_locked) and unstuck_private.is_live(j.status)
  );
  select
    coalesce(array_agg(c.job_id), '{}'),
    coalesce(sum(c.refunded), 0)::bigint,
    array_agg(distinct t.provider)
  into v_done, refunded_credits, providers
  from unstuck_private.jobs_finalise_each(
    v_locked,
    array_fill('cancelled'::text, array[cardinality(v_locked)]),
    array_fill('CANCELLED'::text, array[cardinality(v_locked)]),
    array_fill(v_message, array[cardinality(v_locked)]),
    v_until) c
  join unstuck.tools t using (tool);
  refused := unstuck_private.jobs_refused(p_filter, p_limit, v_found.ids, v_done, v_locked);
  if p_limit > 0 then
    perform unstuck_private.admin_log_write(
      'jobs_cancelled', null, p_filter,
      jsonb_build_object(
        'matched', v_found.total,
        'jobs', v_done,
        'refused', jsonb_array_length(refused),
        'refunded', refunded_credits
      )
    );
  end if;
  return query
  select v_found.total, cardinality(v_done), refused, refunded_credits,
    coalesce(providers, '{}');
end $$;

comment on function unstuck.jobs_cancel_many_v1 is $c$
Caller: admin-cancel-job, for many jobs. The role of p_actor is read in the same transaction.

Effect: cancels and refunds up to p_limit of the jobs that p_filter names, oldest first, for six
seconds at most, and writes one row of admin_log. matched: all that the filter names; done: those
that were cancelled; refused: those that were not, each with a code. It waits for no lock: a job
that is held is refused as in_progress. What is left over is in neither list. With p_limit 0 it
counts.

Refuses: forbidden, bad_request (no filter, no reason, a limit beyond 1,000).

Replay: cancels further ones.
$c$;

revoke all on function unstuck.jobs_cancel_many_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.jobs_cancel_many_v1 to service_role;
