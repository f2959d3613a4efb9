create table unstuck.credit_debts (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null,
  -- Null: written by hand.
  purchase_id uuid,
  amount bigint not null,
  settled bigint not null default 0,
  created_at timestamptz not null default clock_timestamp(),
  check (settled between 0 and amount)
);

create index credit_debts_open on unstuck.credit_debts (user_id, created_at)
where amount > settled;

create index credit_debts_by_purchase on unstuck.credit_debts (purchase_id);

comment on table unstuck.credit_debts is $c$
Credits that a seller took back after they were spent. A debt is open while `settled` is less than
`amount`: no order is taken then. Later credits settle it; what the seller gives back lessens its
amount.
$c$;

alter table unstuck.credit_debts enable row level security;
revoke all on unstuck.credit_debts from public, anon, authenticated, service_role;
grant select on unstuck.credit_debts to authenticated, service_role;
