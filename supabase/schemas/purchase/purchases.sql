create table unstuck.purchases (
  id uuid primary key default gen_random_uuid(),
  seller text not null,
  -- Whose it is, or who the seller says it is of; null while nobody is known.
  user_id uuid,
  email text,
  pack text,
  -- What the payment is worth in full, given once it is paid, and taken back of that since.
  credits bigint not null default 0,
  granted bigint not null default 0,
  taken bigint not null default 0,
  -- Every name by which the seller knows the payment.
  keys text[] not null,
  -- What the seller told, each fact once. Everything else here follows from it.
  facts jsonb not null default '[]',
  -- Its own id, and those of the purchases that a fact joined to it: ledger entries name either.
  ids uuid[] not null,
  -- Credits are due, and nobody is known yet who gets them, or the app's wallet refuses them.
  waits boolean not null default false,
  created_at timestamptz not null default clock_timestamp(),
  check (taken between 0 and granted)
);

create index purchases_by_key on unstuck.purchases using gin (keys);

create index purchases_by_subscription on unstuck.purchases
using gin (jsonb_path_query_array(facts, '$[*].subscription'));

create index purchases_by_user on unstuck.purchases (user_id);

create index purchases_waiting on unstuck.purchases (user_id)
where waits;

create index purchases_waiting_by_email on unstuck.purchases (email)
where waits;

comment on table unstuck.purchases is $c$
A payment, as a seller tells it: one row, whatever number of events it is told by. Kept for ever; of
an erased user without the e-mail address and the id.
$c$;

alter table unstuck.purchases enable row level security;
revoke all on unstuck.purchases from public, anon, authenticated, service_role;
grant select on unstuck.purchases to authenticated, service_role;
