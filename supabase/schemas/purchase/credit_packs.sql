create table unstuck.credit_packs (
  pack text primary key,
  credits bigint not null
    check (credits between 1 and 1000000000000),
  -- The seller's name of its price, or of a payment link.
  price_id text unique,
  -- Paid for each period, until it is cancelled.
  recurring boolean not null default false,
  enabled boolean not null default true,
  position int not null default 0,
  -- {"en": {"name": "…", "price": "…"}, …}
  words jsonb not null default '{}'
    check (jsonb_typeof(words) = 'object')
);

comment on table unstuck.credit_packs is $c$
What is sold for money: one row per pack of credits. A disabled pack is not offered; what was bought
of it is still given.
$c$;

alter table unstuck.credit_packs enable row level security;
revoke all on unstuck.credit_packs from public, anon, authenticated, service_role;
grant select on unstuck.credit_packs to anon, authenticated, service_role;
