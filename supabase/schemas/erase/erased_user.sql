-- The owner of the rows that stay of an erased user's jobs: a user id that belongs to no one.
create or replace function unstuck_private.erased_user()
returns uuid
language sql
immutable
as
$$ select '00000000-0000-0000-0000-000000000000'::uuid $$;

revoke all on function unstuck_private.erased_user from public, anon, authenticated, service_role;
