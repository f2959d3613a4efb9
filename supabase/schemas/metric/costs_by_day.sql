-- What the attempts of a tool cost us at its provider, in credits, by the UTC day on which their
-- steps ended. Each attempt costs what `tools.provider_cost` was when the step was counted.
create table unstuck_private.costs_by_day (
  day date not null,
  tool text not null,
  attempts bigint not null,
  cost numeric not null,
  primary key (day, tool)
);

alter table unstuck_private.costs_by_day enable row level security;
revoke all on unstuck_private.costs_by_day from public, anon, authenticated, service_role;
