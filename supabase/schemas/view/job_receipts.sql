create view unstuck.job_receipts
with (security_invoker = true) as
select
  j.id as job_id,
  j.user_id,
  j.tool,
  j.status,
  j.credits_charged,
  j.credits_refunded,
  j.credits_charged - j.credits_refunded as credits_paid,
  j.total_steps,
  j.output_url,
  j.error_code,
  j.error_message,
  j.retries,
  j.retry_of,
  j.created_at,
  j.queued_at,
  j.started_at,
  j.completed_at,
  (
    select jsonb_agg(
      jsonb_build_object(
        'at', e.created_at,
        'kind', e.kind,
        'amount', e.amount,
        'balance_after', e.balance_after,
        'step', e.step,
        'reason', e.reason
      )
      order by e.id
    )
    from unstuck.credit_entries e
    where e.job_id = j.id and e.kind in ('debit', 'refund')
  ) as entries
from unstuck.jobs j;

comment on view unstuck.job_receipts is $c$
What a job cost and why: every entry of its ledger. Owners see their own jobs.
$c$;

revoke all on unstuck.job_receipts from public, anon, authenticated, service_role;
grant select on unstuck.job_receipts to authenticated, service_role;
