-- Refuses an order under whose id an attached table of the app has a row that is not this order's:
-- the app has begun or charged it itself, it is another user's, or it stands in the table of other
-- tools. A row that is this order's stays locked, so that the app does not begin it meanwhile.
--
-- The caller holds the account and the wallet. A transaction of the app that has its row may wait
-- for the wallet, so this never stands in a queue for the row, where others would see a deadlock:
-- it asks for the row each 10 ms, for 200 ms. After that the order is sent once more.
create or replace function unstuck_private.refuse_apps_row(
  p_user_id uuid,
  p_job_id uuid,
  p_tool text
)
returns void
language plpgsql
set search_path = ''
set lock_timeout = '200ms'
as
$$
declare
  v_statement text;
  v_is_taken boolean;
  v_tries int := 0;
begin
  select 'select ' || string_agg(
    format('coalesce((select %s from %s t where t.id = $1 for no key update nowait), false)',
      h.taken, h.host_table),
    ' or ' order by h.host_table)
  into v_statement
  from (
    select p.host_table,
      case
        when bool_or(p.tool = p_tool) then coalesce(string_agg(distinct c.taken, ' or '), 'false')
        else 'true'
      end as taken
    from unstuck.projections p
    cross join lateral (
      select nullif(
        concat_ws(' or ',
          '(' || p.begun || ') is true',
          't.' || quote_ident(unstuck_private.projection_owner(p)) || ' is distinct from $2'),
        '') as taken
    ) c
    where p.level = 'job'
    group by p.host_table
  ) h;
  if v_statement is null then
    return;
  end if;
  -- The conditions are the app's words.
  perform set_config('search_path', 'public, extensions', true);
  loop
    begin
      execute v_statement
      into v_is_taken
      using p_job_id, p_user_id;
      exit;
    exception when lock_not_available then
      v_tries := v_tries + 1;
      if v_tries >= 20 then
        raise;
      end if;
    end;
    perform pg_catalog.pg_sleep(0.01);
  end loop;
  if v_is_taken then
    perform unstuck_private.refuse(409, 'idempotency_conflict');
  end if;
end $$;

revoke all on function unstuck_private.refuse_apps_row
from public, anon, authenticated, service_role;
