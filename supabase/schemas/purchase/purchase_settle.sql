-- Makes the ledger agree with the facts of a purchase: its owner gets what is due, and every other
-- user gives back what was given. Returns how many credits it gave and took, and the owner, or else
-- the user whom the seller names. Refuses with bad_request a purchase worth more than `grant_max`.
-- What the app's wallet refuses waits, like a purchase whose owner is unknown.
-- The purchase is locked; the accounts are locked here, by id.
create or replace function unstuck_private.purchase_settle(
  p_id uuid,
  out granted bigint,
  out taken bigint,
  out user_id uuid
)
language plpgsql
set search_path = ''
as
$$
declare
  v_purchase unstuck.purchases;
  v_due record;
  v_owner uuid;
  v_user uuid;
  v_change bigint;
begin
  select p.*
  into v_purchase
  from unstuck.purchases p
  where p.id = p_id;
  select d.*
  into v_due
  from unstuck_private.purchase_due(v_purchase.facts) d;
  if v_due.credits > unstuck_private.grant_max() then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  v_owner := unstuck_private.purchase_owner(v_purchase, v_due.user_id, v_due.email);
  user_id := coalesce(v_owner, v_due.user_id);
  begin
    update unstuck.purchases p
    set
      user_id = coalesce(v_owner, v_due.user_id),
      email = v_due.email,
      pack = v_due.pack,
      credits = v_due.credits,
      granted = case when v_owner is null then 0 else v_due.granted end,
      taken = case when v_owner is null then 0 else v_due.taken end,
      waits = v_owner is null and v_due.granted > v_due.taken
    where p.id = p_id
    returning p.*
    into v_purchase;
    granted := 0;
    taken := 0;
    for v_user in
      select e.user_id
      from unstuck.credit_entries e
      where e.purchase_id = any (v_purchase.ids)
      union
      select v_owner
      where v_owner <> unstuck_private.erased_user()
        and v_due.granted > v_due.taken
      order by 1
    loop
      perform unstuck_private.account_lock(v_user);
      v_change := unstuck_private.purchase_move(v_purchase, v_user,
        case when v_user = v_owner then v_due.granted - v_due.taken else 0 end);
      granted := granted + greatest(v_change, 0);
      taken := taken + greatest(-v_change, 0);
    end loop;
  exception when others then
    if sqlstate not like 'PT4%' then
      raise;
    end if;
    -- The app's wallet refuses this user, who is in no team for example. The payment is kept, and
    -- given once the wallet takes it.
    update unstuck.purchases p
    set
      user_id = coalesce(v_owner, v_due.user_id),
      email = v_due.email,
      pack = v_due.pack,
      credits = v_due.credits,
      waits = true
    where p.id = p_id;
    granted := 0;
    taken := 0;
  end;
end $$;

revoke all on function unstuck_private.purchase_settle
from public, anon, authenticated, service_role;
