-- Returns true when the calling edge healer shall ask the providers how much is left on our
-- accounts: for ten minutes no other healer was told to. It skips the row while another transaction
-- has it.
create or replace function unstuck_private.balances_ask(p_now timestamptz) returns boolean
language plpgsql
set search_path = ''
as
$$
begin
  insert into unstuck_private.healer_marks (healer)
  values ('balances')
  on conflict do nothing;
  update unstuck_private.healer_marks m
  set pinged_at = p_now
  where m.ctid = any (array(
    select h.ctid
    from unstuck_private.healer_marks h
    where h.healer = 'balances'
      and coalesce(h.pinged_at, '-infinity') < p_now - interval '10 minutes'
    for update skip locked
  ));
  return found;
end $$;

revoke all on function unstuck_private.balances_ask from public, anon, authenticated, service_role;
