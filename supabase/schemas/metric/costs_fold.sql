-- Adds to `costs_by_day` the steps of the jobs that ended after `p_from` and up to `p_to`. A tool
-- without a `provider_cost` is not counted.
create or replace function unstuck_private.costs_fold(p_from timestamptz, p_to timestamptz)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  insert into unstuck_private.costs_by_day as d (day, tool, attempts, cost)
  select (s.ended_at at time zone 'UTC')::date, s.tool, sum(s.attempts),
    sum(s.attempts * t.provider_cost)
  from unstuck_private.steps_ended(p_from, p_to) s
  join unstuck.tools t using (tool)
  where s.ended_at is not null
    and t.provider_cost is not null
  group by 1, 2
  on conflict (day, tool) do update
  set attempts = d.attempts + excluded.attempts,
    cost = d.cost + excluded.cost;
end $$;

revoke all on function unstuck_private.costs_fold from public, anon, authenticated, service_role;
