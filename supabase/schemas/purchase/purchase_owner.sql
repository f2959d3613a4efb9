-- Returns who gets what is due of a purchase; null while nobody is known. `p_told` is the user whom
-- the seller names, or else the one named with its subscription (`subscription_user`). This user
-- gets it if there is such a user or an account of that user, or if our role cannot read
-- `auth.users`. Otherwise it is the user who was found by the e-mail address before, or whom
-- `p_email` finds now. The purchase of an erased user stays with `erased_user`.
create or replace function unstuck_private.purchase_owner(
  p_purchase unstuck.purchases,
  p_told uuid,
  p_email text
)
returns uuid
language plpgsql
stable
set search_path = ''
as
$$
declare
  v_told record;
begin
  if p_purchase.user_id = unstuck_private.erased_user() then
    return p_purchase.user_id;
  end if;
  p_told := coalesce(
    p_told, unstuck_private.subscription_user(p_purchase.seller, p_purchase.facts));
  v_told := unstuck_private.auth_user(p_told, null);
  if p_told is not null
    and (
      v_told.user_id is not null
      or not v_told.is_readable
      or exists (select from unstuck.credit_accounts a where a.user_id = p_told)
    )
  then
    return p_told;
  end if;
  if p_purchase.user_id is null
    or p_purchase.facts @> jsonb_build_array(jsonb_build_object('userId', p_purchase.user_id))
  then
    return (unstuck_private.auth_user(null, p_email)).user_id;
  end if;
  return p_purchase.user_id;
end $$;

revoke all on function unstuck_private.purchase_owner
from public, anon, authenticated, service_role;
