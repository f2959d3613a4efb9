-- Returns when the quiet hours end that hold at `p_now`, or `p_now` where none hold. They last from
-- the full hour `p_from` to the full hour `p_to`, both UTC; there are none where one of the two is
-- null or both are the same.
create or replace function unstuck_private.quiet_until(
  p_now timestamptz,
  p_from int,
  p_to int
)
returns timestamptz
language sql
immutable
set search_path = ''
as
$$
  select case
    when p_from is null or p_to is null or p_from = p_to then p_now
    when (h.hour - p_from + 24) % 24 >= (p_to - p_from + 24) % 24 then p_now
    else (
      date_trunc('hour', p_now at time zone 'UTC')
      + ((p_to - h.hour + 24) % 24) * interval '1 hour'
    ) at time zone 'UTC'
  end
  from (select extract(hour from p_now at time zone 'UTC')::int as hour) h
$$;

revoke all on function unstuck_private.quiet_until from public, anon, authenticated, service_role;
