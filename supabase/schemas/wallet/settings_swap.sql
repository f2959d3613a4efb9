-- Sets these settings until the transaction ends, and returns their earlier values in the same
-- form, so that a second call puts them back. A failure in between puts them back too, because it
-- ends the block or the transaction that set them.
create or replace function unstuck_private.settings_swap(p_settings jsonb) returns jsonb
language plpgsql
set search_path = ''
as
$$
declare
  v_name text;
  v_value text;
  v_before jsonb := '{}';
begin
  for v_name, v_value in
    select s.key, s.value
    from jsonb_each_text(p_settings) s
  loop
    v_before := v_before
      || jsonb_build_object(v_name, coalesce(current_setting(v_name, true), ''));
    perform set_config(v_name, v_value, true);
  end loop;
  return v_before;
end $$;

revoke all on function unstuck_private.settings_swap
from public, anon, authenticated, service_role;
