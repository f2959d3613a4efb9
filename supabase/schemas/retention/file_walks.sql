-- How far the cleanup of files has come in its walk through a bucket, by the cursor of the Storage
-- API, which only that can read. Null, or no row: the walk begins at the first file.
create table unstuck_private.file_walks (
  kind text primary key,
  cursor text
);

alter table unstuck_private.file_walks enable row level security;
revoke all on unstuck_private.file_walks from public, anon, authenticated, service_role;
