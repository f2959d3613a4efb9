-- Deletes rows that older clients inserted and never ordered: cancelled, never paid, never started,
-- without steps. A user may write only these without paying, 200 an hour of 20 KB each, so that a
-- day of them is 96 MB. A `/run` that comes later is a new order of that id.
create or replace function unstuck_private.prune_orphans(
  p_before timestamptz,
  p_limit int,
  p_skip int
)
returns int
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
as
$$
declare
  v_ids uuid[];
begin
  v_ids := array(
    select o.id
    from unstuck.jobs o
    where o.status = 'cancelled'
      and o.request_hash is null
      and o.started_at is null
      and o.credits_charged = 0
      and o.completed_at < p_before
      and o.retry_of is null
      and not exists (select from unstuck.job_steps s where s.job_id = o.id)
      and not exists (select from unstuck.credit_entries e where e.job_id = o.id)
      and not exists (select from unstuck.jobs r where r.retry_of = o.id)
    order by o.completed_at
    limit p_limit
    offset p_skip
    for update of o skip locked
  );
  delete from unstuck.job_events e
  where e.job_id = any (v_ids);
  delete from unstuck.jobs j
  where j.id = any (v_ids);
  return cardinality(v_ids);
end $$;

revoke all on function unstuck_private.prune_orphans from public, anon, authenticated, service_role;
