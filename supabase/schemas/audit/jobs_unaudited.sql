-- Trigger on `jobs` that lists for the audit new and deleted jobs, and those that changed in a
-- column that an invariant reads. Nested loops are off: the planner cannot know how many rows a
-- transition table holds, and a nested loop over two of them would cost the square of their size.
create or replace function unstuck_private.jobs_unaudited() returns trigger
language plpgsql
set search_path = ''
set enable_nestloop = off
as
$$
begin
  if tg_op = 'UPDATE' then
    insert into unstuck_private.unaudited (job_id)
    select id
    from old_rows o
    full join new_rows n using (id)
    where row(
        n.status, n.user_id, n.credits_charged, n.credits_refunded, n.refund_rule,
        n.quarantined_at
      )
      is distinct from row(
        o.status, o.user_id, o.credits_charged, o.credits_refunded, o.refund_rule,
        o.quarantined_at
      );
  elsif tg_op = 'INSERT' then
    insert into unstuck_private.unaudited (job_id, user_id)
    select n.id, n.user_id
    from new_rows n;
  else
    insert into unstuck_private.unaudited (job_id, user_id)
    select o.id, o.user_id
    from old_rows o;
    perform unstuck_private.removals_record(
      array(select distinct o.user_id from old_rows o)
    );
  end if;
  return null;
end $$;

create or replace trigger jobs_unaudited_insert after insert on unstuck.jobs
referencing new table as new_rows
for each statement execute function unstuck_private.jobs_unaudited();

create or replace trigger jobs_unaudited_update after update on unstuck.jobs
referencing old table as old_rows new table as new_rows
for each statement execute function unstuck_private.jobs_unaudited();

create or replace trigger jobs_unaudited_delete after delete on unstuck.jobs
referencing old table as old_rows
for each statement execute function unstuck_private.jobs_unaudited();

revoke all on function unstuck_private.jobs_unaudited
from public, anon, authenticated, service_role;
