-- Returns the balance after the last entry of a user's ledger, 0 without an entry, for replies and
-- reports where the wallet cannot be read.
create or replace function unstuck_private.balance_last(p_user_id uuid) returns bigint
language plpgsql
stable
set search_path = ''
as
$$
begin
  return coalesce(
    (
      select e.balance_after
      from unstuck.credit_entries e
      where e.user_id = p_user_id
      order by e.id desc
      limit 1
    ),
    0
  );
end $$;

revoke all on function unstuck_private.balance_last from public, anon, authenticated, service_role;
