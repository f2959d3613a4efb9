-- A time before which no transaction can write any more: whatever has an earlier time is committed,
-- and can be counted once and for all. A transaction that lasts ten minutes holds nothing up. Where
-- our role does not see when others began, they began a minute ago: no call of ours takes longer.
create or replace function unstuck_private.settled_before(p_now timestamptz) returns timestamptz
language sql
stable
set search_path = ''
as
$$
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
$$;

revoke all on function unstuck_private.settled_before
from public, anon, authenticated, service_role;
