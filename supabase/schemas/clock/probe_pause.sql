-- How long a provider's learned limit stands until one step more is tried: shortly after it has
-- changed, longer after a probe was refused, or is under way.
create or replace function unstuck_private.probe_pause(p_is_confirmed boolean)
returns interval
language sql
immutable
as
$$
  select case when p_is_confirmed then interval '30 seconds' else interval '5 seconds' end
$$;

revoke all on function unstuck_private.probe_pause from public, anon, authenticated, service_role;
