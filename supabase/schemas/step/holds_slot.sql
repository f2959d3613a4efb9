-- True while a step takes one of its provider's slots: from the claim until the provider is done.
-- It fixes no search_path, so the planner inlines it and sees the predicate of the index
-- `job_steps_slots`, which spells the rule out, because tables are created before functions.
create or replace function unstuck_private.holds_slot(p_step unstuck.job_steps) returns boolean
language sql
immutable
as
$$
  select p_step.status in ('starting', 'running') and p_step.provider_done_at is null
$$;

revoke all on function unstuck_private.holds_slot from public, anon, authenticated, service_role;
