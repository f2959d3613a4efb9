-- Records the orders that a user cancels in `cancelled_requests`, which holds 1,000 rows of a user,
-- and returns whether there was room for all of them. It first deletes the user's rows that are
-- kept no longer. The caller has locked the user's account.
create or replace function unstuck_private.cancelled_requests_add(p_user_id uuid, p_job_ids uuid[])
returns boolean
language plpgsql
set search_path = ''
as
$$
declare
  v_new uuid[];
  v_room int;
begin
  delete from unstuck.cancelled_requests c
  using unstuck.retention r
  where r.kind = 'cancelled_requests'
    and c.user_id = p_user_id
    and c.at < clock_timestamp() - r.keep;
  v_new := array(
    select distinct x.id
    from unnest(p_job_ids) as x (id)
    where x.id is not null
      and not exists (
        select from unstuck.cancelled_requests c
        where c.user_id = p_user_id and c.job_id = x.id
      )
  );
  if v_new = '{}' then
    return true;
  end if;
  select 1000 - count(*)
  into v_room
  from unstuck.cancelled_requests c
  where c.user_id = p_user_id;
  insert into unstuck.cancelled_requests (user_id, job_id)
  select p_user_id, x.id
  from unnest(v_new) as x (id)
  limit greatest(v_room, 0);
  return cardinality(v_new) <= v_room;
end $$;

revoke all on function unstuck_private.cancelled_requests_add
from public, anon, authenticated, service_role;
