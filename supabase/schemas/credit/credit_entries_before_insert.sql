-- Trigger that moves the wallet by a new entry without `balance_after`, and writes into the entry
-- what the wallet says it moved; an entry that moved nothing is not written. A chargeback takes at
-- most what is there; any other entry that asks for more than the balance fails. Orders and refunds
-- of jobs ask the wallet themselves and insert entries with a `balance_after`, which pass
-- unchanged.
create or replace function unstuck_private.credit_entries_before_insert()
returns trigger
language plpgsql
set search_path = ''
as
$$
declare
  v_asked bigint := new.amount;
  v_tool text;
begin
  if coalesce(new.amount, 0) = 0 then
    -- The constraints of the table refuse it.
    new.balance_after := coalesce(new.balance_after, 0);
  end if;
  if new.balance_after is not null then
    return new;
  end if;
  perform unstuck_private.account_lock(new.user_id);
  select j.tool
  into v_tool
  from unstuck.jobs j
  where j.id = new.job_id;
  if new.kind = 'debit' and new.amount < 0 then
    perform unstuck_private.waiting_credits_give(new.user_id);
    select -w.taken, w.receipt
    into new.amount, new.receipt
    from unstuck_private.wallet_debit(
      new.user_id, v_tool, -new.amount, new.job_id, new.reason) w;
  elsif new.kind = 'refund' then
    new.amount := unstuck_private.wallet_refund(
      new.user_id, new.amount, new.job_id, new.reason, unstuck_private.job_receipt(new.job_id));
  elsif new.amount > 0 then
    new.receipt := (
      unstuck_private.wallet_grant(new.user_id, new.amount, new.kind, new.reason)).receipt;
  else
    new.amount := -unstuck_private.wallet_take(
      new.user_id, -new.amount, new.kind, new.reason, new.receipt);
    if new.amount > v_asked and new.kind <> 'chargeback' then
      raise exception 'the balance is lower than %', -v_asked using errcode = 'check_violation';
    end if;
  end if;
  new.balance_after := unstuck_private.balance_shown(new.user_id, v_tool);
  return case when new.amount <> 0 then new end;
end $$;

create or replace trigger credit_entries_before_insert
before insert on unstuck.credit_entries
for each row execute function unstuck_private.credit_entries_before_insert();

revoke all on function unstuck_private.credit_entries_before_insert
from public, anon, authenticated, service_role;
