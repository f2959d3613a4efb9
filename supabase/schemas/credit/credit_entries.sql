create table unstuck.credit_entries (
  id bigint generated always as identity primary key,
  user_id uuid not null,
  job_id uuid,
  step int,
  kind text not null
    check (kind in (
      'grant', 'purchase', 'bonus', 'goodwill', 'debit', 'refund', 'adjustment', 'chargeback'
    )),
  amount bigint not null,
  balance_after bigint not null,
  reason text,
  idempotency_key text unique,
  created_at timestamptz not null default clock_timestamp(),
  -- Who moved the credits, as `act_as` named them; else the role of the database.
  actor text default coalesce(nullif(current_setting('unstuck.actor', true), ''), session_user),
  -- Where the wallet took a debit from; its refunds go back there.
  receipt jsonb,
  -- The purchase that gave or took back.
  purchase_id uuid,
  constraint credit_entries_sign
    check (
      case kind
        when 'debit' then amount < 0
        when 'chargeback' then amount < 0
        when 'adjustment' then amount <> 0
        else amount > 0
      end
    )
);

-- Money is summed by day. The ledger is written in the order of time: a few pages tell where a day
-- lies.
create index credit_entries_by_day on unstuck.credit_entries
using brin (created_at);
create unique index credit_entries_once_per_job
on unstuck.credit_entries (job_id, step, kind) nulls not distinct
where kind in ('debit', 'refund') and job_id is not null;

create unique index credit_entries_one_debit
on unstuck.credit_entries (job_id)
where kind = 'debit' and job_id is not null;

create index credit_entries_by_user
on unstuck.credit_entries (user_id, id);

create index credit_entries_by_purchase on unstuck.credit_entries (purchase_id)
where purchase_id is not null;

-- The audit looks for adjustments near a refund of the same user.
create index credit_entries_returned on unstuck.credit_entries (user_id, kind, created_at)
where kind in ('adjustment', 'refund');

comment on table unstuck.credit_entries is $c$
The ledger: every change of a balance, append-only. Unique indexes keep a job from being debited
twice, and a step from being refunded twice.
$c$;

alter table unstuck.credit_entries enable row level security;
revoke all on unstuck.credit_entries from public, anon, authenticated, service_role;
revoke all on sequence unstuck.credit_entries_id_seq from public, anon, authenticated, service_role;
grant select on unstuck.credit_entries to service_role;
grant select on unstuck.credit_entries to authenticated;
