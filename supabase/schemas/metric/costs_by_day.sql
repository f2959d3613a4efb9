-- What the steps that ended on a day of UTC cost at the provider, in credits, by tool: each attempt
-- at the cost that the tool had when it was counted.
create table unstuck_private.costs_by_day (
  day date not null,
  tool text not null,
  attempts bigint not null,
  cost numeric not null,
  primary key (day, tool)
);

alter table unstuck_private.costs_by_day enable row level security;
revoke all on unstuck_private.costs_by_day from public, anon, authenticated, service_role;
