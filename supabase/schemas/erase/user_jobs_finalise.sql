-- Cancels the live jobs of a user who is erased, with their refunds: all at once, or one by one
-- where that fails. A job that cannot be finalised stays live; `user_erase_v1`, which calls this,
-- then strips or deletes it. Account and jobs are locked.
create or replace function unstuck_private.user_jobs_finalise(p_user_id uuid)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_live uuid[];
  v_id uuid;
begin
  v_live := array(
    select j.id
    from unstuck.jobs j
    where j.user_id = p_user_id and unstuck_private.is_live(j.status)
    order by j.id
  );
  if v_live = '{}' then
    return;
  end if;
  begin
    perform unstuck_private.jobs_finalise(
      v_live,
      array_fill('cancelled'::text, array[cardinality(v_live)]),
      array_fill('CANCELLED'::text, array[cardinality(v_live)]),
      array_fill('the user was erased.'::text, array[cardinality(v_live)])
    );
    return;
  exception when others then
    -- One row fails the statement: each job is cancelled alone below.
    null;
  end;
  foreach v_id in array v_live loop
    begin
      perform unstuck_private.jobs_finalise(
        array[v_id],
        array['cancelled'],
        array['CANCELLED'],
        array['the user was erased.']
      );
    exception when others then
      -- The caller deletes the row and its ledger all the same.
      null;
    end;
  end loop;
end $$;

revoke all on function unstuck_private.user_jobs_finalise
from public, anon, authenticated, service_role;
