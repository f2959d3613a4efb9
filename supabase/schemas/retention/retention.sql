-- How long each kind of row is kept; null: for ever. An operator's own values stay, whatever a
-- later version would write. A kind that is not named here is never pruned.
create table unstuck.retention (
  kind text primary key,
  keep interval check (keep > '0')
);

alter table unstuck.retention enable row level security;
revoke all on unstuck.retention from public, anon, authenticated, service_role;
grant select on unstuck.retention to service_role;
