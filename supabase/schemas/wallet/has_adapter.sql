-- True where an adapter holds the balances in place of our own accounts.
create or replace function unstuck_private.has_adapter() returns boolean
language sql
stable
as
$$
  select exists (select from unstuck_private.installed)
$$;

revoke all on function unstuck_private.has_adapter from public, anon, authenticated, service_role;
