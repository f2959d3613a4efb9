-- Makes this transaction act as the app's service, under whose claims and with whose settings
-- (`p_settings`) the app's code runs. Returns the earlier settings, for `settings_swap` to put
-- back.
create or replace function unstuck_private.host_enter(p_settings jsonb default '{}') returns jsonb
language sql
set search_path = ''
as
$$
  select unstuck_private.settings_swap(
    p_settings || jsonb_build_object(
      'request.jwt.claims', '{"role":"service_role"}',
      'request.jwt.claim.role', 'service_role',
      'request.jwt.claim.sub', ''
    )
  )
$$;

revoke all on function unstuck_private.host_enter from public, anon, authenticated, service_role;
