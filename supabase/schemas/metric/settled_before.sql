-- Returns a time before which no transaction under way can still write a job's end: everything with
-- an earlier time is committed and can be counted for good. It is at most ten minutes ago, so that
-- a longer transaction holds nothing up. Where our role cannot see when other transactions began,
-- it assumes 65 seconds ago, because no call of ours takes longer.
create or replace function unstuck_private.settled_before(p_now timestamptz) returns timestamptz
language plpgsql
stable
set search_path = ''
as
$$
begin
  return (
    select greatest(
      least(
        p_now,
        min(a.xact_start),
        case
          when bool_or(a.query = '<insufficient privilege>') then p_now - interval '65 seconds'
        end
      ),
      p_now - interval '10 minutes'
    )
    from pg_catalog.pg_stat_activity a
    where a.datname = current_database()
      and a.pid <> pg_backend_pid()
      and a.backend_type <> 'autovacuum worker'
  );
end $$;

revoke all on function unstuck_private.settled_before
from public, anon, authenticated, service_role;
