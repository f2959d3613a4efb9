-- Returns how many steps a provider may work on at the same time at `p_at`: `max_concurrent`, or
-- the learned limit if that is lower, with one step more once a probe is due. Whoever needs the
-- number of slots calls this function, except `order_claim`, which leaves the probe to a claim. It
-- fixes no search_path, so that the planner inlines it.
create or replace function unstuck_private.slot_limit(
  p_provider unstuck.providers,
  p_at timestamptz
)
returns int
language sql
immutable
as
$$
  select least(
    p_provider.max_concurrent,
    p_provider.learned_limit + coalesce(p_provider.limit_probe_at <= p_at, true)::int
  )
$$;

revoke all on function unstuck_private.slot_limit from public, anon, authenticated, service_role;
