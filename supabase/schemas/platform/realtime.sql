-- Publishes `jobs` for Realtime, to which older pages subscribe and which no view can feed; row
-- security still hides the rows of others. A publication for all tables contains it already. Where
-- the publication belongs to another role, the installation goes on without it.
do $do$
begin
  if exists (
    select from pg_catalog.pg_publication p
    where p.pubname = 'supabase_realtime' and not p.puballtables
  ) then
    alter publication supabase_realtime add table unstuck.jobs;
  end if;
exception when insufficient_privilege then
  raise notice 'unstuck.jobs is not in the publication supabase_realtime: %', sqlerrm;
end $do$;
