-- Trigger on `jobs`: while the app has a receiver (`is_receiver_there`), writes a message for each
-- job that ends, in the transaction that ends it. The app is not told the end of an orphan, which
-- was never ordered.
create or replace function unstuck_private.ends_owe() returns trigger
language plpgsql
set search_path = ''
set enable_nestloop = off
as
$$
declare
  v_ids uuid[];
begin
  v_ids := array(
    select n.id
    from new_rows n
    join old_rows o using (id)
    where unstuck_private.is_final(n.status)
      and not unstuck_private.is_final(o.status)
      and n.error_code is distinct from 'ORPHANED'
  );
  if v_ids = '{}' or not unstuck_private.is_receiver_there() then
    return null;
  end if;
  insert into unstuck.messages_owed (kind, "to", user_id, body)
  select 'job_end', 'app', j.user_id,
    jsonb_build_object(
      'type', 'job.' || j.status,
      'timestamp', j.completed_at,
      'data', unstuck_private.job_shown(j) || jsonb_build_object('userId', j.user_id)
    )
  from unstuck.jobs j
  where j.id = any (v_ids);
  return null;
end $$;

create or replace trigger jobs_tell_ends
after update on unstuck.jobs
referencing old table as old_rows new table as new_rows
for each statement
execute function unstuck_private.ends_owe();

revoke all on function unstuck_private.ends_owe from public, anon, authenticated, service_role;
