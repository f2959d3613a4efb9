-- Live jobs that may have run out of time, in the order of their key after (p_at, p_id): past their
-- deadline, or ('age') so old that the lifetime may be over whatever their deadline says. A page
-- costs what it holds, not what the backlog holds.
create or replace function unstuck_private.sweep_candidates(
  p_now timestamptz,
  p_by text,
  p_user_id uuid,
  p_at timestamptz,
  p_id uuid,
  p_limit int,
  out ids uuid[],
  out last_at timestamptz,
  out last_id uuid
)
language plpgsql
stable
set search_path = ''
as
$$
declare
  v_old timestamptz := p_now - (select min(t.run_timeout) from unstuck.tools t);
begin
  if p_by = 'deadline' then
    select array_agg(c.id), max(c.at)
    into ids, last_at
    from (
      select j.id, j.deadline_at as at
      from unstuck.jobs j
      where unstuck_private.is_live(j.status)
        and j.quarantined_at is null
        and j.deadline_at <= p_now
        and (j.deadline_at, j.id) > (p_at, p_id)
      order by j.deadline_at, j.id
      limit p_limit
    ) c;
  elsif p_by = 'age' then
    select array_agg(c.id), max(c.at)
    into ids, last_at
    from (
      select j.id, coalesce(j.started_at, j.created_at) as at
      from unstuck.jobs j
      where unstuck_private.is_live(j.status)
        and j.quarantined_at is null
        and j.deadline_at > p_now
        and coalesce(j.started_at, j.created_at) <= v_old
        and (coalesce(j.started_at, j.created_at), j.id) > (p_at, p_id)
      order by coalesce(j.started_at, j.created_at), j.id
      limit p_limit
    ) c;
  else
    select array_agg(c.id), max(c.at)
    into ids, last_at
    from (
      select j.id, j.deadline_at as at
      from unstuck.jobs j
      where unstuck_private.is_live(j.status)
        and j.quarantined_at is null
        and j.user_id = p_user_id
        and (j.deadline_at <= p_now or coalesce(j.started_at, j.created_at) <= v_old)
        and (j.deadline_at, j.id) > (p_at, p_id)
      order by j.deadline_at, j.id
      limit p_limit
    ) c;
  end if;
  last_id := ids[cardinality(ids)];
end $$;

revoke all on function unstuck_private.sweep_candidates
from public, anon, authenticated, service_role;
