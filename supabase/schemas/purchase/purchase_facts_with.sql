-- Returns the facts of a purchase with one more, each of them once and in an order that depends on
-- their text alone. If the new fact is there already, it keeps what its pack gave when it was first
-- told.
create or replace function unstuck_private.purchase_facts_with(p_facts jsonb, p_fact jsonb)
returns jsonb
language sql
immutable
as
$$
  select jsonb_agg(distinct e.value)
  from jsonb_array_elements(p_facts || jsonb_build_array(p_fact)) e
  where e.value - 'gives' <> p_fact - 'gives'
    or e.value = coalesce(
      (
        select k.value
        from jsonb_array_elements(p_facts) k
        where k.value - 'gives' = p_fact - 'gives'
          and (k.value ? 'gives' or not p_fact ? 'gives')
        limit 1
      ),
      p_fact
    )
$$;

revoke all on function unstuck_private.purchase_facts_with
from public, anon, authenticated, service_role;
