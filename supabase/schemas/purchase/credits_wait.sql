-- Returns whether credits wait for this user that `waiting_credits_give` would give: the sign-up
-- bonus, or a purchase.
create or replace function unstuck_private.credits_wait(p_user_id uuid) returns boolean
language sql
stable
set search_path = ''
as
$$
  select (
    not exists (select from unstuck.credit_accounts a where a.user_id = p_user_id)
    and unstuck_private.signup_bonus_due(p_user_id) is not null
  ) or exists (
    select
    from unstuck.purchases p
    where p.waits
      and (
        p.user_id = p_user_id
        or p.email = (select (unstuck_private.auth_user(p_user_id, null)).confirmed_email)
      )
  )
$$;

revoke all on function unstuck_private.credits_wait from public, anon, authenticated, service_role;
