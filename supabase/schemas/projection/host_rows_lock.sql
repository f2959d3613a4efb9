-- Locks the rows that the app has of a job and of its steps before `job_project` writes one. Fails
-- with 55P03 if another transaction still has one of them after `p_wait_ms`.
--
-- The caller holds the wallet, and a transaction of the app that has locked such a row may be
-- waiting for it, perhaps for seconds. To wait for a row would be a deadlock for that transaction,
-- so this retries every 10 ms without waiting.
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
