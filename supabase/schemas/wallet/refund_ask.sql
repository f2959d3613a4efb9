-- Asks the adapter's wallet to give back `p_amount` credits of a job, writes what it gave as an
-- entry, and returns that. What it did not give is owed (`refunds_owed`), with the reason. An error
-- of the wallet is not raised, and a lock is waited for 200 ms at most, so that the job ends all
-- the same. The user's row and the job are locked.
create or replace function unstuck_private.refund_ask(
  p_job unstuck.jobs,
  p_step int,
  p_amount bigint,
  p_reason text
)
returns bigint
language plpgsql
set search_path = ''
set lock_timeout = '200ms'
as
$$
declare
  v_given bigint := 0;
  v_error text;
begin
  begin
    v_given := least(greatest(coalesce(
      unstuck_private.wallet_refund(
        p_job.user_id, p_amount, p_job.id, p_reason, unstuck_private.job_receipt(p_job.id)),
      0), 0), p_amount);
    if v_given > 0 then
      insert into unstuck.credit_entries (
        user_id, job_id, step, kind, amount, balance_after, reason)
      values (
        p_job.user_id, p_job.id, p_step, 'refund', v_given,
        unstuck_private.balance_shown(p_job.user_id, p_job.tool), p_reason);
    end if;
    if v_given < p_amount then
      v_error := format('the wallet gave %s of %s', v_given, p_amount);
    end if;
  exception when others then
    v_given := 0;
    v_error := sqlerrm;
  end;
  if v_error is not null then
    insert into unstuck.refunds_owed as o (job_id, step, amount, error)
    values (p_job.id, p_step, p_amount - v_given, v_error)
    on conflict (job_id, step) do update
    set amount = o.amount + excluded.amount,
      error = excluded.error;
  end if;
  return v_given;
end $$;

revoke all on function unstuck_private.refund_ask from public, anon, authenticated, service_role;
