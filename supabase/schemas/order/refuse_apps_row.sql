-- Refuses an order under whose id an attached table of the app has a row that is not this order's:
-- the app has begun or charged it itself, it is another user's, or it stands in the table of other
-- tools. A row that is this order's stays locked, so that the app does not begin it meanwhile.
--
-- The caller holds the account and the wallet. A transaction of the app that has its row may wait
-- for the wallet, so this waits for less than a deadlock takes; the order is then sent once more.
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
begin
  select 'select ' || string_agg(
    format('coalesce((select %s from %s t where t.id = $1 for no key update), false)',
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
  execute v_statement
  into v_is_taken
  using p_job_id, p_user_id;
  if v_is_taken then
    perform unstuck_private.refuse(409, 'idempotency_conflict');
  end if;
end $$;

revoke all on function unstuck_private.refuse_apps_row
from public, anon, authenticated, service_role;
