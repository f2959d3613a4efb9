-- Ends the adapter: from now on our accounts hold the balances, and all of them are 0. Afterwards
-- `cargo xtask adopt … detach` creates the built-in functions once more. One entry for each user
-- offsets what the app's wallet has moved, so that each balance is the sum of its entries. Refuses
-- while a job lives that the app's wallet paid for, and while a refund is owed: both would have to
-- come back out of that wallet.
create or replace function unstuck_private.wallet_detach() returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_jobs bigint;
  v_owed bigint;
begin
  lock table unstuck.credit_accounts in exclusive mode;
  if not unstuck_private.has_adapter() then
    return;
  end if;
  select count(*)
  into v_jobs
  from unstuck.jobs j
  where unstuck_private.is_live(j.status)
    and j.credits_charged > 0;
  select count(*)
  into v_owed
  from unstuck.refunds_owed;
  if v_jobs > 0 or v_owed > 0 then
    raise exception '% jobs live that the app''s wallet paid for, % refunds are owed',
      v_jobs, v_owed
    using hint = 'Switch the tools off and wait: update unstuck.tools set enabled = false;';
  end if;
  delete from unstuck_private.installed;
  insert into unstuck.credit_entries (user_id, kind, amount, balance_after, reason)
  select e.user_id, case when sum(e.amount) < 0 then 'grant' else 'adjustment' end,
    -sum(e.amount), 0, 'the app keeps its wallet'
  from unstuck.credit_entries e
  group by e.user_id
  having sum(e.amount) <> 0;
end $$;

revoke all on function unstuck_private.wallet_detach
from public, anon, authenticated, service_role;
