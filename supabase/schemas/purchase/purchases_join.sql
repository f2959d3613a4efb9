-- Joins these purchases, which one fact names together, into the first and oldest of them. Its
-- packs keep giving what they gave then. Entries of the others stay in the ledger under their own
-- ids, which the first one keeps in `ids`. The purchases are locked.
create or replace function unstuck_private.purchases_join(p_ids uuid[]) returns void
language sql
set search_path = ''
as
$$
  with gone as (
    delete from unstuck.purchases p
    where p.id = any (p_ids[2:])
    returning p.*
  ), part as materialized (
    select *
    from gone
    union all
    select *
    from unstuck.purchases p
    where p.id = p_ids[1]
  ), fact as materialized (
    select distinct unstuck_private.purchase_fact_kept(first.facts, e.value) as fact
    from part
    cross join lateral jsonb_array_elements(part.facts) e
    join part first on first.id = p_ids[1]
  )
  update unstuck.purchases p
  set
    keys = array(select distinct unnest(q.keys) collate "C" from part q order by 1),
    ids = array(select distinct unnest(q.ids) from part q order by 1),
    facts = (select jsonb_agg(f.fact order by f.fact) from fact f),
    -- Who was found by an e-mail address; whom a fact tells is found anew.
    user_id = (
      select q.user_id
      from part q
      where q.user_id is not null
        and not exists (select from fact f where f.fact ->> 'userId' = q.user_id::text)
      order by q.user_id
      limit 1
    )
  where p.id = p_ids[1]
$$;

revoke all on function unstuck_private.purchases_join
from public, anon, authenticated, service_role;
