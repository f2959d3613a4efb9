-- Returns a page of up to `p_limit` live jobs that may be due, in the order of a time and of their
-- id, and the last of these keys; the page begins after the key (`p_at`, `p_id`). `p_by` says which
-- jobs:
--   deadline  past their deadline, of all users,
--   age       so old that their lifetime may be over, whatever their deadline says, of all users,
--   user      both of these, of the user `p_user_id`,
--   left      waiting for a browser page that counts as left (`is_left`), of the user if one is
--             given.
-- A page of the result costs as much as it holds, however long the backlog is; `left` also looks at
-- the session of each waiting job.
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
  elsif p_by = 'left' then
    select array_agg(c.id), max(c.at)
    into ids, last_at
    from (
      select j.id, j.created_at as at
      from unstuck.jobs j
      join unstuck.sessions s on s.user_id = j.user_id and s.id = j.session_id
      where j.status in ('pending', 'queued')
        and j.quarantined_at is null
        and s.left_at <= p_now
        and (p_user_id is null or j.user_id = p_user_id)
        and unstuck_private.is_left(j, p_now)
        and (j.created_at, j.id) > (p_at, p_id)
      order by j.created_at, j.id
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
