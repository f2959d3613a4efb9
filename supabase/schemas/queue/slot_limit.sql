-- How many steps a provider may work on at once at a time p_at: `max_concurrent`, or fewer where it
-- refused more for capacity, and one step more once a probe of that is due. Whoever asks how many
-- slots there are asks this function; only `order_claim` leaves the probe to a claim. It is
-- inlined: no search_path.
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
