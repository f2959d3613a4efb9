create or replace function unstuck.session_cancel_v1(
  p_user_id uuid,
  p_session_id text,
  p_job_ids uuid[]
)
returns table (table_name text, job_id uuid, refunded_credits bigint)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_ids uuid[];
  v_coming uuid[];
  v_count int;
begin
  perform unstuck_private.refuse_other_deployment();
  if p_user_id is null
    or coalesce(p_session_id, '') = ''
    or cardinality(p_job_ids) > 100
  then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  perform unstuck_private.act_as('user');
  perform unstuck_private.account_lock(p_user_id);
  perform unstuck_private.wallet_hold(p_user_id, null);
  select array_agg(l.id)
  into v_ids
  from (
    select j.id
    from unstuck.jobs j
    where j.user_id = p_user_id
      and j.status in ('pending', 'queued')
      and j.quarantined_at is null
      and (j.session_id = p_session_id or j.id = any (p_job_ids))
    order by j.id
    for update
  ) l;
  -- A named job that has not arrived yet is refused when it does. One that runs, or that belongs to
  -- another user, is left alone.
  v_coming := array(
    select x.id
    from unnest(p_job_ids) as x (id)
    where not exists (
      select from unstuck.jobs j
      where j.id = x.id and not (j.status = 'cancelled' and j.error_code = 'ORPHANED')
    )
  );
  if not unstuck_private.cancelled_requests_add(p_user_id, v_coming) then
    perform unstuck_private.refuse(
      429,
      'rate_limited',
      jsonb_build_object('retry_after', unstuck_private.cancelled_requests_full_for(p_user_id))
    );
  end if;
  if v_ids is null then
    return;
  end if;
  -- Their own rows keep these cancelled, so a full list keeps no job alive.
  perform unstuck_private.cancelled_requests_add(p_user_id, v_ids);
  v_count := cardinality(v_ids);
  return query
  select t.table_name, c.job_id, c.refunded
  from unstuck_private.jobs_finalise_each(
    v_ids,
    array_fill('cancelled'::text, array[v_count]),
    array_fill('CANCELLED'::text, array[v_count]),
    array_fill('the page was closed.'::text, array[v_count]),
    clock_timestamp() + interval '5 seconds'
  ) c
  join unstuck.tools t using (tool);
end $$;

comment on function unstuck.session_cancel_v1 is $c$
Caller: cancel-session, for the verified user.

Effect: cancels the user's own waiting jobs of that session and those that p_job_ids names, and
refunds them. A named job that has not arrived yet is refused when it does. A job that cannot be
finalised is quarantined and stops none of the others. One row per cancelled job.

Refuses: bad_request (also more than 100 ids), rate_limited (1,000 orders that were cancelled before
they arrived are kept per user, a day each).

Replay: no rows.
$c$;

revoke all on function unstuck.session_cancel_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.session_cancel_v1 to service_role;
