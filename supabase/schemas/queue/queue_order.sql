-- The waiting steps of one provider in the order in which they will be claimed. Each user has one
-- turn at a time, since the user began to wait or was last served: a thousand jobs of one user let
-- every other user through after each of them. The order does not depend on what finishes when, so
-- that a position that was shown stays true.
create or replace function unstuck_private.queue_order(p_provider text, p_now timestamptz)
returns table (job_id uuid, step int, user_id uuid, tool text, ready boolean, "position" bigint)
language plpgsql
stable
set search_path = ''
as
$$
declare
  -- Tools whose steps are not let through, while their own circuit or the provider's is open.
  v_open text[] := array(
    select t.tool
    from unstuck.tools t
    where t.circuit_open_until > p_now
      or exists (
        select from unstuck.providers p
        where p.provider = p_provider
          and p.circuit_open_until > p_now
      )
  );
begin
  return query
  with waiting as (
    select
      s.job_id,
      s.step,
      j.user_id,
      j.tool,
      coalesce(s.not_before, p_now) <= p_now and j.tool <> all (v_open) as ready,
      coalesce(j.queued_at, j.created_at) as since
    from unstuck.job_steps s
    join unstuck.jobs j on j.id = s.job_id
    where s.provider = p_provider
      and s.status = 'queued'
      and unstuck_private.is_live(j.status)
      and j.quarantined_at is null
      and (
        s.deadline_at > p_now
        -- The queue TTL is paused while another step of the job works.
        or exists (
          select from unstuck.job_steps w
          where w.job_id = s.job_id
            and w.status in ('starting', 'running')
        )
      )
  ),
  ranked as (
    select
      w.*,
      row_number() over own as turn,
      greatest(first_value(w.since) over own, u.served_at) as waits_since
    from waiting w
    left join unstuck_private.queue_turns u
      on u.provider = p_provider
      and u.user_id = w.user_id
    window own as (
      partition by w.user_id
      order by not w.ready, w.since, w.job_id, w.step
    )
  )
  select
    l.job_id,
    l.step,
    l.user_id,
    l.tool,
    l.ready,
    row_number() over (order by not l.ready, l.turn, l.waits_since, l.user_id)
  from ranked l;
end $$;

revoke all on function unstuck_private.queue_order from public, anon, authenticated, service_role;
