-- Locks the app's rows of a job and of its steps before one is written; 55P03 once p_wait_ms are
-- over.
--
-- The caller holds the wallet, and a transaction of the app that has such a row may wait for it,
-- perhaps for seconds behind others. So this never stands in a queue for a row, where the app's
-- transaction would see a deadlock: it asks for the rows each 10 ms.
create or replace function unstuck_private.host_rows_lock(
  p_job_id uuid,
  p_tool text,
  p_wait_ms int
)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_until timestamptz := clock_timestamp() + p_wait_ms * interval '1 millisecond';
begin
  while not unstuck_private.host_rows_try_lock(p_job_id, p_tool) loop
    if clock_timestamp() >= v_until then
      raise lock_not_available using
        message = 'a transaction of the app holds a row of the job';
    end if;
    perform pg_sleep(0.01);
  end loop;
end $$;

revoke all on function unstuck_private.host_rows_lock
from public, anon, authenticated, service_role;
