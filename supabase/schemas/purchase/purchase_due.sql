-- What follows from the facts of one payment, whatever order they came in: whose it is, what it is
-- worth in full, what is given of that, and what of that is taken back.
--
-- Where facts differ: the first user and e-mail address in order of their text; the largest number;
-- a pack that is named, before one that is known by its price, then the one of most credits; of
-- totals, refunds and disputes what is true at the latest moment. A refund that failed once stays
-- failed. Refunds are the larger one of those known singly and of the total, less what failed since
-- then. Open and lost disputes come on top. Rounding is done once, in favour of the user; the sixth
-- digit hides that a third has no end.
create or replace function unstuck_private.purchase_due(p_facts jsonb)
returns table (user_id uuid, email text, pack text, credits bigint, granted bigint, taken bigint)
language sql
immutable
as
$$
  with fact as materialized (
    select e.value as f
    from jsonb_array_elements(p_facts) e
  ), told as materialized (
    select
      min((f ->> 'userId') collate "C")::uuid as user_id,
      min((f ->> 'email') collate "C") as email,
      min((f ->> 'pack') collate "C") as pack,
      coalesce(bool_or((f ->> 'paid')::boolean), false) as is_paid,
      max((f ->> 'credits')::bigint) as credits,
      coalesce(max((f ->> 'quantity')::bigint), 1) as quantity,
      coalesce(max((f ->> 'share')::numeric), 1) as share,
      nullif(max((f ->> 'amount')::bigint), 0) as amount,
      (array_agg(f -> 'gives' order by
        f ? 'pack' desc, (f #>> '{gives,credits}')::numeric desc, f #>> '{gives,pack}'
      ) filter (where f ? 'gives'))[1] as gives,
      (array_agg(f -> 'refundTotal' order by
        (f #>> '{refundTotal,at}')::numeric desc, (f #>> '{refundTotal,amount}')::bigint desc
      ) filter (where f ? 'refundTotal'))[1] as total,
      (array_agg((f #>> '{refundedShare,share}')::numeric order by
        (f #>> '{refundedShare,at}')::numeric desc, (f #>> '{refundedShare,share}')::numeric desc
      ) filter (where f ? 'refundedShare'))[1] as refunded
    from fact
  ), refund as (
    select distinct on (r.key) s.*
    from fact
    cross join told t
    cross join lateral jsonb_each(f -> 'refunds') r
    cross join lateral (
      select unstuck_private.purchase_part((r.value ->> 'amount')::bigint, t.amount) as part,
        r.value ->> 'status' in ('failed', 'canceled') as is_failed,
        (r.value ->> 'at')::numeric as at
    ) s
    order by r.key, s.is_failed desc, case when s.is_failed then -s.at else s.at end desc,
      s.part desc
  ), dispute as (
    select distinct on (d.key) d.value ->> 'status' as status,
      unstuck_private.purchase_part((d.value ->> 'amount')::bigint, t.amount) as part
    from fact
    cross join told t
    cross join lateral jsonb_each(f -> 'disputes') d
    order by d.key, (d.value ->> 'at')::numeric desc,
      array_position(array['warning', 'open', 'lost', 'won'], d.value ->> 'status') desc, 2 desc
  ), worth as (
    select t.*,
      floor(round(
        coalesce(t.credits, (t.gives ->> 'credits')::numeric * t.quantity, 0) * t.share, 6
      )) as in_full,
      least(
        greatest(
          0,
          t.refunded,
          (select sum(r.part) from refund r where not r.is_failed),
          case when t.total is not null then
            unstuck_private.purchase_part((t.total ->> 'amount')::bigint, t.amount) - coalesce((
              select sum(r.part)
              from refund r
              where r.is_failed and r.at >= (t.total ->> 'at')::numeric
            ), 0)
          end
        )
        + coalesce((select sum(d.part) from dispute d where d.status in ('open', 'lost')), 0),
        1
      ) as back
    from told t
  )
  select w.user_id, w.email, coalesce(w.gives ->> 'pack', w.pack),
    unstuck_private.clamp_to_bigint(w.in_full),
    case when w.is_paid then unstuck_private.clamp_to_bigint(w.in_full) else 0 end,
    case when w.is_paid then unstuck_private.clamp_to_bigint(floor(round(w.in_full * w.back, 6)))
      else 0
    end
  from worth w
$$;

revoke all on function unstuck_private.purchase_due from public, anon, authenticated, service_role;
