-- Refuses an order with idempotency_conflict where the app has a row under its id that is not this
-- order's (`is_apps_row`).
--
-- The caller holds the account and the wallet, and a transaction of the app that has locked the row
-- may be waiting for the wallet. To wait for the row would be a deadlock, so this retries every 10
-- ms without waiting. After 200 ms it fails with 55P03, and the order must be sent once more.
create or replace function unstuck_private.refuse_apps_row(
  p_user_id uuid,
  p_job_id uuid,
  p_tool text
)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_is_taken boolean;
  v_tries int := 0;
begin
  loop
    begin
      v_is_taken := unstuck_private.is_apps_row(p_user_id, p_job_id, p_tool);
      exit;
    exception when lock_not_available then
      v_tries := v_tries + 1;
      if v_tries >= 20 then
        raise;
      end if;
    end;
    perform pg_sleep(0.01);
  end loop;
  if v_is_taken then
    perform unstuck_private.refuse(409, 'idempotency_conflict');
  end if;
end $$;

revoke all on function unstuck_private.refuse_apps_row
from public, anon, authenticated, service_role;
