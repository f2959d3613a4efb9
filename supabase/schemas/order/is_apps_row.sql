-- Returns whether a table of the app has a row under an order's id that is not this order's: the
-- app has begun or charged the row itself (`projections.begun`), the row is another user's, or its
-- table shows other tools only. A row that is this order's stays locked, so that the app does not
-- begin it meanwhile. Fails with 55P03 where another transaction has locked the row.
create or replace function unstuck_private.is_apps_row(
  p_user_id uuid,
  p_job_id uuid,
  p_tool text
)
returns boolean
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
    return false;
  end if;
  -- The conditions are the app's words.
  perform set_config('search_path', 'public, extensions', true);
  execute v_statement
  into v_is_taken
  using p_job_id, p_user_id;
  return v_is_taken;
end $$;

revoke all on function unstuck_private.is_apps_row from public, anon, authenticated, service_role;
