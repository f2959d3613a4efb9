-- Names the adapter that holds the balances from now on; an adapter's `wallet.sql` calls it first.
-- A repeated call changes nothing. Refuses while another adapter holds them, while the built-in
-- wallet holds credits, and while a job lives that was paid from it: the refund would come out of
-- another wallet.
create or replace function unstuck_private.wallet_attach(p_adapter text) returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_other text;
  v_users bigint;
  v_jobs bigint;
begin
  -- From here on nobody orders and no healer refunds until the adapter is in.
  lock table unstuck.credit_accounts in exclusive mode;
  select i.adapter
  into v_other
  from unstuck_private.installed i;
  if v_other = p_adapter then
    return;
  end if;
  if v_other is not null then
    raise exception 'the adapter % holds the balances', v_other
    using hint = 'Detach it first.';
  end if;
  select count(*)
  into v_users
  from unstuck.credit_accounts a
  where a.balance <> 0;
  if v_users > 0 then
    raise exception '% users have credits in the built-in wallet', v_users
    using hint = 'Give them to the app''s own wallet, and take them from ours by adjustments.';
  end if;
  select count(*)
  into v_jobs
  from unstuck.jobs j
  where unstuck_private.is_live(j.status)
    and j.credits_charged > 0;
  if v_jobs > 0 then
    raise exception '% jobs live that were paid from the built-in wallet', v_jobs
    using hint = 'Wait until they have ended, or cancel them.';
  end if;
  insert into unstuck_private.installed (adapter)
  values (p_adapter);
end $$;

revoke all on function unstuck_private.wallet_attach
from public, anon, authenticated, service_role;
