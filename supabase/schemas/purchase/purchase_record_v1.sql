create or replace function unstuck.purchase_record_v1(p_seller text, p_fact jsonb)
returns table (granted bigint, taken bigint, replayed boolean, user_id uuid, reason text)
language plpgsql
security definer
set search_path = ''
set lock_timeout = '5s'
as
$$
#variable_conflict use_column
declare
  v_fact jsonb;
  v_keys text[];
  v_ids uuid[];
  v_is_new boolean;
  v_settled record;
begin
  perform unstuck_private.refuse_other_deployment();
  v_fact := unstuck_private.purchase_fact(p_fact);
  v_keys := array(
    select distinct k.key collate "C"
    from jsonb_array_elements_text(p_fact -> 'keys') as k (key)
    order by 1
  );
  if coalesce(p_seller, '') = '' then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  perform unstuck_private.act_as('seller:' || p_seller);
  v_ids := unstuck_private.purchases_lock(p_seller, v_keys);
  if v_ids = '{}' then
    v_ids := array[gen_random_uuid()];
    insert into unstuck.purchases (id, seller, keys, ids)
    values (v_ids[1], p_seller, v_keys, v_ids);
  elsif cardinality(v_ids) > 1 then
    perform unstuck_private.purchases_join(v_ids);
  end if;
  update unstuck.purchases p
  set
    keys = array(select distinct unnest(p.keys || v_keys) collate "C" order by 1),
    facts = n.facts
  from unstuck.purchases o
  cross join lateral unstuck_private.purchase_facts_with(
    o.facts,
    unstuck_private.purchase_fact_kept(
      o.facts,
      case when o.user_id = unstuck_private.erased_user()
        then v_fact - array['userId', 'email']
        else v_fact
      end
    )
  ) as n (facts)
  where o.id = v_ids[1]
    and p.id = o.id
    and (n.facts <> o.facts or not o.keys @> v_keys);
  v_is_new := found or cardinality(v_ids) > 1;
  v_settled := unstuck_private.purchase_settle(v_ids[1]);
  return query
  select v_settled.granted, v_settled.taken,
    not v_is_new and v_settled.granted = 0 and v_settled.taken = 0,
    nullif(v_settled.user_id, unstuck_private.erased_user()),
    case
      when p.waits then 'waits_for_user'
      when p.credits = 0 and p.facts @> '[{"paid": true}]' then 'unknown_pack'
    end
  from unstuck.purchases p
  where p.id = v_ids[1];
end $$;

comment on function unstuck.purchase_record_v1 is $c$
Caller: purchase-webhook, for an authentic event of p_seller.

Effect: records what one event tells of a payment, and gives or takes back the difference between
what is due of all that was told so far and what was given: purchase entries, chargebacks, and a
debt of what is no longer there. p_fact: `keys`, every name by which the event knows the payment,
and whatever else it tells: `paid`, `userId`, `email`, `pack`, `priceIds`, `credits` (in all),
`quantity`, `quantities` (by price), `share`, `amount`, `refundTotal`, `refunds`, `refundedShare`,
`disputes`. Facts that share a key are of one payment, also where a third one shows it. The end is
the same in whatever order facts come, while no pack changes. Without a user who is known it is
kept, and given at that user's first order, quote or balance. granted, taken: now. user_id: whose it
is, as far as it is known. reason: why the payment gives nothing, `waits_for_user` or `unknown_pack`
(no pack of ours was paid).

Refuses: bad_request (a malformed fact, more than 10^12 credits).

Replay: changes nothing: replayed = true.
$c$;

revoke all on function unstuck.purchase_record_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.purchase_record_v1 to service_role;
