-- Older pages subscribe through Realtime, which views do not feed, so `jobs` is published; row
-- level security still hides its rows. A publication for all tables has it already. Where the
-- publication belongs to another role, the installation goes on without it.
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
