-- Takes `p_amount` credits of these purchases back from the user by a chargeback, or as many as the
-- balance has, and returns how many it took. The account is locked.
create or replace function unstuck_private.purchase_take(
  p_user_id uuid,
  p_ids uuid[],
  p_amount bigint
)
returns bigint
language plpgsql
set search_path = ''
as
$$
declare
  v_taken bigint;
begin
  insert into unstuck.credit_entries (user_id, purchase_id, kind, amount, reason, receipt)
  select p_user_id, p_ids[1], 'chargeback', -p_amount, given.reason, given.receipt
  from (select) as one
  left join lateral (
    select e.reason, e.receipt
    from unstuck.credit_entries e
    where e.purchase_id = any (p_ids)
      and e.user_id = p_user_id
      and e.kind = 'purchase'
    order by e.id desc
    limit 1
  ) given on true
  returning -amount
  into v_taken;
  return coalesce(v_taken, 0);
end $$;

revoke all on function unstuck_private.purchase_take from public, anon, authenticated, service_role;
