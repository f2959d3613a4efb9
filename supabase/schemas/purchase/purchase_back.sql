-- Returns which part of a payment of `p_amount` (null: unknown) the seller has taken back by these
-- facts, from 0 to 1: what was refunded, and what open and lost disputes are about. For each
-- dispute its latest fact counts.
create or replace function unstuck_private.purchase_back(p_facts jsonb, p_amount bigint)
returns numeric
language plpgsql
immutable
as
$$
begin
  return (
    with dispute as (
      select distinct on (d.key) d.value ->> 'status' as status,
        unstuck_private.purchase_part((d.value ->> 'amount')::bigint, p_amount) as part
      from jsonb_array_elements(p_facts) as e (f)
      cross join lateral jsonb_each(f -> 'disputes') d
      order by d.key, (d.value ->> 'at')::numeric desc,
        array_position(array['warning', 'open', 'lost', 'won'], d.value ->> 'status') desc, 2 desc
    )
    select least(
      1,
      coalesce((select sum(d.part) from dispute d where d.status in ('open', 'lost')), 0)
      + unstuck_private.purchase_refunded(p_facts, p_amount)
    )
  );
end $$;

revoke all on function unstuck_private.purchase_back from public, anon, authenticated, service_role;
