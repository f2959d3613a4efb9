-- How many of these jobs have run out of time; 0 where one of them cannot be judged.
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
