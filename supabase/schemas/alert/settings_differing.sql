-- The settings that had more than one value among the functions when they were last compared.
create table unstuck_private.settings_differing (
  name text primary key
);

alter table unstuck_private.settings_differing enable row level security;
revoke all on unstuck_private.settings_differing from public, anon, authenticated, service_role;
