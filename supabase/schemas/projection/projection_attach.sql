-- Has the jobs of a tool written to a table of the app from now on, and what older pages and the
-- app's own functions do to those rows carried out. An adapter's `projection.sql` calls it; a
-- repeated call replaces all that was given before. Where the setting `unstuck.tools` lists tools,
-- all others are left as they are.
--
-- `p_begun` is a condition over the app's row `t` that holds where the app has begun or charged the
-- job itself. A column that the table does not have is refused, and so is a condition that cannot
-- be evaluated.
create or replace function unstuck_private.projection_attach(
  p_tool text,
  p_host_table regclass,
  p_level text,
  p_columns jsonb,
  p_statuses jsonb,
  p_settings jsonb default '{}',
  p_begun text default null
)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_unknown text;
  v_statement text;
begin
  if p_tool <> all (string_to_array(nullif(current_setting('unstuck.tools', true), ''), ' ')) then
    return;
  end if;
  select string_agg(c.name, ', ')
  into v_unknown
  from jsonb_object_keys(p_columns) as c (name)
  where not exists (
    select from pg_catalog.pg_attribute a
    where a.attrelid = p_host_table
      and a.attname = c.name
      and not a.attisdropped
  );
  if v_unknown is not null then
    raise exception '% has no column %', p_host_table, v_unknown;
  end if;
  insert into unstuck.projections (tool, host_table, level, columns, statuses, settings, begun)
  values (p_tool, p_host_table, p_level, p_columns, p_statuses, p_settings, p_begun)
  on conflict (tool, host_table) do update
  set level = excluded.level,
    columns = excluded.columns,
    statuses = excluded.statuses,
    settings = excluded.settings,
    begun = excluded.begun;
  if p_level = 'job' then
    -- A trigger of the app's table: which one is known here only.
    v_statement := format(
      'create or replace trigger unstuck_host_row after insert or update of status on %s '
        || 'for each row execute function unstuck_private.host_row_changed()',
      p_host_table
    );
    execute v_statement;
  end if;
  -- No row has this id: it only asks.
  perform unstuck_private.refuse_apps_row(null, null, p_tool);
end $$;

revoke all on function unstuck_private.projection_attach
from public, anon, authenticated, service_role;
