-- Returns how many of these jobs are due (`jobs_due`); 0 where that fails for one of them.
create or replace function unstuck_private.count_due_among(p_now timestamptz, p_ids uuid[])
returns int
language plpgsql
stable
set search_path = ''
as
$$
begin
  return (
    select count(*)
    from unstuck_private.jobs_due(p_now, p_ids)
  );
exception when others then
  return 0;
end $$;

revoke all on function unstuck_private.count_due_among
from public, anon, authenticated, service_role;
