-- Cancels this user's orphans (`is_orphan`), up to 1,000 and for three seconds at most, so that
-- they hide no real job from `user_active_v1`. It skips jobs that another transaction has locked;
-- an orphan that cannot be cancelled does not stop the others.
create or replace function unstuck_private.orphans_cancel(p_user_id uuid) returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_before timestamptz;
  v_ids uuid[];
  v_count int;
begin
  select clock_timestamp() - i.orphan
  into v_before
  from unstuck_private.intervals() i;
  v_ids := array(
    select j.id
    from unstuck.jobs j
    where j.user_id = p_user_id
      and unstuck_private.is_orphan(j, v_before)
    limit 1000
  );
  if v_ids = '{}' then
    return;
  end if;
  v_ids := unstuck_private.jobs_try_lock(v_ids);
  v_ids := array(
    select j.id
    from unstuck.jobs j
    where j.id = any (v_ids)
      and unstuck_private.is_orphan(j, v_before)
  );
  v_count := cardinality(v_ids);
  perform unstuck_private.jobs_finalise_each(
    v_ids,
    array_fill('cancelled'::text, array[v_count]),
    array_fill('ORPHANED'::text, array[v_count]),
    array_fill('never started; nothing was charged.'::text, array[v_count]),
    clock_timestamp() + interval '3 seconds');
end $$;

revoke all on function unstuck_private.orphans_cancel
from public, anon, authenticated, service_role;
