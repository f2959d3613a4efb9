-- Returns a job as the view under the old name `p_table` shows it now; null where it shows no such
-- row.
create or replace function unstuck_private.legacy_row(p_table text, p_id uuid) returns jsonb
language plpgsql
stable
set search_path = ''
as
$$
declare
  v_row jsonb;
begin
  execute format('select to_jsonb(v) from unstuck.%I v where v.id = $1', p_table)
  into v_row
  using p_id;
  return v_row;
end $$;

revoke all on function unstuck_private.legacy_row from public, anon, authenticated, service_role;
