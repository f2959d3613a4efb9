-- Returns how many credits this user owes: credits that were spent and then taken back.
create or replace function unstuck_private.debt_open(p_user_id uuid) returns bigint
language sql
stable
as
$$
  select coalesce(sum(d.amount - d.settled), 0)::bigint
  from unstuck.credit_debts d
  where d.user_id = p_user_id
    and d.amount > d.settled
$$;

revoke all on function unstuck_private.debt_open from public, anon, authenticated, service_role;
