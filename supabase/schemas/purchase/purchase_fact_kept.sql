-- Returns `p_fact` with what its pack gave when an earlier one of these facts of the same purchase
-- named that pack, so that a later change of the pack does not change what was bought.
create or replace function unstuck_private.purchase_fact_kept(p_facts jsonb, p_fact jsonb)
returns jsonb
language sql
immutable
as
$$
  select coalesce(
    (
      select jsonb_set(p_fact, '{gives}', k.value -> 'gives')
      from jsonb_array_elements(p_facts) k
      where k.value #> '{gives,pack}' = p_fact #> '{gives,pack}'
        and k.value #> '{gives,packs}' is not distinct from p_fact #> '{gives,packs}'
        and k.value -> 'quantities' is not distinct from p_fact -> 'quantities'
      order by k.value -> 'paid' desc nulls last, k.value
      limit 1
    ),
    p_fact
  )
$$;

revoke all on function unstuck_private.purchase_fact_kept
from public, anon, authenticated, service_role;
