-- The deployment to which this database belongs. A copy of the database has the original's row, so
-- that Workers of another deployment are refused in it until `cargo xtask deploy` has written
-- theirs.
create table unstuck_private.deployment (
  id text not null
    check (id <> ''),
  -- The project that the row was written for: another one is a copy, or was moved.
  supabase_url text not null,
  uploads_bucket text not null default 'uploads',
  results_bucket text not null default 'results'
);

-- A database has one owner.
create unique index deployment_is_one on unstuck_private.deployment ((true));

alter table unstuck_private.deployment enable row level security;
revoke all on unstuck_private.deployment from public, anon, authenticated, service_role;
