-- Which part of a payment of p_amount (null: it is not known) these facts take back. Totals,
-- refunds and disputes are what they were at the latest moment; a refund that failed once stays
-- failed. A total is of one `charge`, of which a payment may have several; one that names no
-- charge is of the payment, and counts where it is the latest. Refunds are the larger one of those
-- known singly and of the totals, each less what failed since then. Open and lost disputes come on top.
create or replace function unstuck_private.purchase_back(p_facts jsonb, p_amount bigint)
returns numeric
language sql
immutable
as
$$
  with fact as materialized (
    select e.value as f
    from jsonb_array_elements(p_facts) e
  ), told as (
    select distinct on (charge) f #>> '{refundTotal,charge}' as charge,
      unstuck_private.purchase_part((f #>> '{refundTotal,amount}')::bigint, p_amount) as part,
      (f #>> '{refundTotal,at}')::numeric as at
    from fact
    where f ? 'refundTotal'
    order by 1, 3 desc, 2 desc
  ), total as (
    select t.*
    from told t
    where (t.charge is null) = coalesce(
      (select n.at from told n where n.charge is null)
      > all (select n.at from told n where n.charge is not null),
      false
    )
  ), shown as (
    select (f #>> '{refundedShare,share}')::numeric as part
    from fact
    where f ? 'refundedShare'
    order by (f #>> '{refundedShare,at}')::numeric desc, 1 desc
    limit 1
  ), refund as materialized (
    select distinct on (r.key) s.*
    from fact
    cross join lateral jsonb_each(f -> 'refunds') r
    cross join lateral (
      select unstuck_private.purchase_part((r.value ->> 'amount')::bigint, p_amount) as part,
        r.value ->> 'status' in ('failed', 'canceled') as is_failed,
        r.value ->> 'charge' as charge,
        (r.value ->> 'at')::numeric as at
    ) s
    order by r.key, s.is_failed desc, case when s.is_failed then -s.at else s.at end desc,
      s.part desc, s.charge
  ), dispute as (
    select distinct on (d.key) d.value ->> 'status' as status,
      unstuck_private.purchase_part((d.value ->> 'amount')::bigint, p_amount) as part
    from fact
    cross join lateral jsonb_each(f -> 'disputes') d
    order by d.key, (d.value ->> 'at')::numeric desc,
      array_position(array['warning', 'open', 'lost', 'won'], d.value ->> 'status') desc, 2 desc
  )
  select least(
    1,
    coalesce((select sum(d.part) from dispute d where d.status in ('open', 'lost')), 0)
    + greatest(
      0,
      (select s.part from shown s),
      (select sum(r.part) from refund r where not r.is_failed),
      (
        select sum(greatest(0, t.part - coalesce(
          (
            select sum(r.part)
            from refund r
            where r.is_failed
              and r.at >= t.at
              and coalesce(r.charge = t.charge, true)
          ),
          0
        )))
        from total t
      )
    )
  )
$$;

revoke all on function unstuck_private.purchase_back from public, anon, authenticated, service_role;
