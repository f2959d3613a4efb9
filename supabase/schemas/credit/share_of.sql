-- Returns the share of one step in a job's price. Where the price cannot be divided evenly, the
-- first steps get one credit more each, so that the shares add up to exactly the price.
create or replace function unstuck_private.share_of(p_price bigint, p_steps int, p_step int)
returns bigint
language sql
immutable
as
$$
  select p_price / p_steps + (p_step <= p_price % p_steps)::int
$$;

revoke all on function unstuck_private.share_of from public, anon, authenticated, service_role;
