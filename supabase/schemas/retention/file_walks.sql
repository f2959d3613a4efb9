-- How far the walk through a bucket came that looks for files which are kept no longer: storage's
-- own cursor, which only storage can read. Null, or no row: the walk begins at the first file.
create table unstuck_private.file_walks (
  kind text primary key,
  cursor text
);

alter table unstuck_private.file_walks enable row level security;
revoke all on unstuck_private.file_walks from public, anon, authenticated, service_role;
