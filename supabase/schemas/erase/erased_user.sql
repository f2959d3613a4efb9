-- Whose the rows are that stay of an erased user's jobs: nobody's.
create or replace function unstuck_private.erased_user()
returns uuid
language sql
immutable
as
$$ select '00000000-0000-0000-0000-000000000000'::uuid $$;

revoke all on function unstuck_private.erased_user from public, anon, authenticated, service_role;
