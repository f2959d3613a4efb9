-- Returns what the facts of one payment amount to, in whatever order they came: its user, its
-- e-mail address and its pack, the credits that it is worth in full, those that are given of them,
-- and those of the given ones that are taken back.
--
-- Where the facts differ, the first user and the first e-mail address by their text count, and the
-- largest number. A pack that a fact names counts before one that is known by its price; then the
-- one with most credits does. What the payment is worth and what is taken back are both rounded
-- down, after they were rounded to six digits, so that three thirds are a whole.
create or replace function unstuck_private.purchase_due(p_facts jsonb)
returns table (user_id uuid, email text, pack text, credits bigint, granted bigint, taken bigint)
language sql
immutable
as
$$
  with told as materialized (
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
      ) filter (where f ? 'gives'))[1] as gives
    from jsonb_array_elements(p_facts) as e (f)
  ), worth as (
    select t.*, unstuck_private.purchase_back(p_facts, t.amount) as back,
      floor(round(
        coalesce(t.credits, (t.gives ->> 'credits')::numeric * t.quantity, 0) * t.share, 6
      )) as in_full
    from told t
  )
  select w.user_id, w.email, coalesce(w.gives ->> 'pack', w.pack), c.credits,
    case when w.is_paid then c.credits else 0 end,
    case when w.is_paid then c.taken else 0 end
  from worth w
  cross join lateral (
    select
      unstuck_private.clamp_to_bigint(w.in_full) as credits,
      unstuck_private.clamp_to_bigint(floor(round(w.in_full * w.back, 6))) as taken
  ) c
$$;

revoke all on function unstuck_private.purchase_due from public, anon, authenticated, service_role;
