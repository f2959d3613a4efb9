-- Makes the caller the app's service: its code runs under these claims, and under the settings that
-- it asks for. Returns what `settings_swap` puts back afterwards.
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
