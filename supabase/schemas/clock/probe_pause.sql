-- How long a provider's learned limit holds until one step more may be tried: 5 seconds after the
-- limit has changed; 30 seconds (`p_is_confirmed`) after a refusal has confirmed it, or while a
-- probe is under way.
create or replace function unstuck_private.probe_pause(p_is_confirmed boolean)
returns interval
language sql
immutable
as
$$
  select case when p_is_confirmed then interval '30 seconds' else interval '5 seconds' end
$$;

revoke all on function unstuck_private.probe_pause from public, anon, authenticated, service_role;
