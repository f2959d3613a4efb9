create or replace function unstuck.jobs_list_v1(
  p_user_id uuid,
  p_cursor text default null,
  p_status text default null,
  p_limit int default 20
)
returns table (jobs jsonb, next text)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
-- However few rows the statistics know, they are read by their indexes.
set enable_seqscan = off
set jit = off
as
$$
#variable_conflict use_column
declare
  v_limit int := least(greatest(p_limit, 1), 100);
  v_before timestamptz := 'infinity';
  v_id uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
  v_micros bigint;
  v_rows unstuck.jobs[];
begin
  perform unstuck_private.refuse_other_deployment();
  if p_status not in ('queued', 'running', 'completed', 'failed', 'cancelled') then
    perform unstuck_private.refuse(400, 'bad_request', jsonb_build_object('field', 'status'));
  end if;
  if p_cursor is not null then
    if p_cursor !~ '^000[0-7][0-9a-f]{44}$' then
      perform unstuck_private.refuse(400, 'bad_request', jsonb_build_object('field', 'cursor'));
    end if;
    v_micros := ('x' || left(p_cursor, 16))::bit(64)::bigint;
    v_before := 'epoch'::timestamptz + v_micros * interval '1 microsecond';
    v_id := right(p_cursor, 32)::uuid;
  end if;
  if unstuck_private.has_due_jobs(p_user_id, clock_timestamp()) then
    perform unstuck.user_heal_v1(p_user_id);
  end if;
  v_rows := array(
    select j
    from unstuck.jobs j
    where j.user_id = p_user_id
      and (j.created_at, j.id) < (v_before, v_id)
      and (p_status is null or unstuck_private.public_status(j.status) = p_status)
    order by j.created_at desc, j.id desc
    limit v_limit + 1
  );
  return query
  select
    (
      select coalesce(jsonb_agg(unstuck_private.job_shown(r) order by r.created_at desc, r.id desc),
        '[]')
      from unnest(v_rows[:v_limit]) r
    ),
    case
      when cardinality(v_rows) > v_limit then unstuck_private.list_cursor(v_rows[v_limit])
    end;
end $$;

comment on function unstuck.jobs_list_v1 is $c$
Caller: the function `jobs`, for the verified user.

Effect: heals the user's jobs that ran out of time, then answers with a page of the user's jobs, the
newest first, at most 100. next: the p_cursor of the page after it; null on the last one. p_status:
only jobs of this status, in the vocabulary that all tools have in common.

Refuses: bad_request (no such status; a cursor that is none of ours).

Replay: reads again.
$c$;

revoke all on function unstuck.jobs_list_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.jobs_list_v1 to service_role;
