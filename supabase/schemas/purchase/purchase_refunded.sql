-- Returns which part of a payment of `p_amount` (null: unknown) was refunded by these facts. It is
-- more than 1 where they contradict each other.
--
-- Facts tell single refunds, totals of a charge or of the payment, and a share of the payment. The
-- latest fact about each counts, except that a refund that failed once stays failed. The largest of
-- these four is the result: the share; the sum of all single refunds; the sum over all charges; a
-- total that names no charge, if it is later than every total of a charge. Of each charge the
-- larger one counts: its single refunds, or its total less the refunds that failed since.
create or replace function unstuck_private.purchase_refunded(p_facts jsonb, p_amount bigint)
returns numeric
language plpgsql
immutable
as
$$
begin
  return (
    with fact as materialized (
      select e.value as f
      from jsonb_array_elements(p_facts) e
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
    ), told as materialized (
      select distinct on (charge) f #>> '{refundTotal,charge}' as charge,
        unstuck_private.purchase_part((f #>> '{refundTotal,amount}')::bigint, p_amount) as part,
        (f #>> '{refundTotal,at}')::numeric as at
      from fact
      where f ? 'refundTotal'
      order by 1, 3 desc, 2 desc
    ), total as (
      select t.charge, t.at,
        t.part - coalesce(sum(r.part), 0) as part
      from told t
      left join refund r
        on r.is_failed
        and r.at >= t.at
        and (t.charge is null or r.charge is null or r.charge = t.charge)
      group by t.charge, t.at, t.part
    ), of_charge as (
      select c.charge, max(c.part) as part
      from (
        select t.charge, t.part
        from total t
        union all
        select r.charge, sum(r.part)
        from refund r
        where not r.is_failed
        group by r.charge
      ) c
      where c.charge is not null
      group by c.charge
    ), shown as (
      select (f #>> '{refundedShare,share}')::numeric as part
      from fact
      where f ? 'refundedShare'
      order by (f #>> '{refundedShare,at}')::numeric desc, 1 desc
      limit 1
    )
    select greatest(
      0,
      (select s.part from shown s),
      (select sum(r.part) from refund r where not r.is_failed),
      (select sum(greatest(c.part, 0)) from of_charge c),
      (
        select t.part
        from total t
        where t.charge is null
          and t.at > all (select o.at from told o where o.charge is not null)
      )
    )
  );
end $$;

revoke all on function unstuck_private.purchase_refunded
from public, anon, authenticated, service_role;
