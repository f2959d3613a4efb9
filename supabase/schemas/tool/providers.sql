create table unstuck.providers (
  provider text primary key,
  -- The number of slots: steps that the provider may work on at the same time.
  max_concurrent int not null
    check (max_concurrent >= 0),
  enabled boolean not null default true,
  -- A synchronous provider answers with the result; a worker holds a lease while the call runs.
  synchronous boolean not null default false,
  -- False: a webhook is only a hint, and the healers query running steps as well.
  signed_webhooks boolean not null default false,
  -- True: a cleanup of its own retries its steps by calling their function, and the sweep does not.
  retried_by_function boolean not null default false,
  -- When `max_concurrent` was last lowered: steps claimed before may exceed the new limit.
  limit_changed_at timestamptz not null default '-infinity',
  -- How many refusals of our key, our money or our place came in a row: an accepted step clears it.
  account_faults int not null default 0,
  -- Not null: the circuit is open, and steps wait. Past this time one step is let through.
  circuit_open_until timestamptz,
  -- When it opened: only a step that was claimed later proves that the cause is mended.
  circuit_opened_at timestamptz,
  -- What the refusals were about: `account` or `place`.
  circuit_reason text,
  -- When the circuit was last closed: steps that waited for it have waited for a reason.
  circuit_closed_at timestamptz not null default '-infinity',
  -- How many steps the provider took when it refused more for capacity. Null: it refused none;
  -- 0: it takes none at the moment. A value that limits nothing is not kept.
  learned_limit int
    check (learned_limit >= 0),
  -- When one step beyond the learned limit may be tried.
  limit_probe_at timestamptz,
  -- What shall be left on our account there, an amount by unit: the operator is told of less.
  balance_least jsonb not null default '{}'
    check (jsonb_typeof(balance_least) = 'object')
);

comment on table unstuck.providers is $c$
The providers, and how many steps each may work on at once. What differs between providers is a
column here: no function names a provider.
$c$;

alter table unstuck.providers enable row level security;
revoke all on unstuck.providers from public, anon, authenticated, service_role;
grant select on unstuck.providers to authenticated, service_role;
