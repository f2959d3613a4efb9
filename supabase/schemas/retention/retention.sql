create table unstuck.retention (
  kind text primary key,
  keep interval check (keep > '0')
);

comment on table unstuck.retention is $c$
How long each kind of row is kept; null: for ever. An operator's own values stay when a later
version is installed. A kind without a row here is never pruned.
$c$;

alter table unstuck.retention enable row level security;
revoke all on unstuck.retention from public, anon, authenticated, service_role;
grant select on unstuck.retention to service_role;
