-- 0008_mends_of_purchases.sql
-- Made by `cargo xtask migration mends_of_purchases`
-- from supabase/schemas, in the order in which things can be created. Do not edit it: change the
-- sources. It is applied once, whole or not at all.

begin;

do $applied$
begin
  if exists (select from unstuck_private.migrations where number = 8) then
    raise exception 'unstuck migration 0008 is applied already';
  end if;
  if not exists (select from unstuck_private.migrations where number = 7) then
    raise exception 'unstuck migration 0007 must be applied before 0008';
  end if;
end
$applied$;

-- A function may name an object that is created below it.
set local check_function_bodies = off;
-- While this waits for a table, everybody else waits behind it: fail and retry instead.
set local lock_timeout = '5s';

--: recreated below, or removed
drop view unstuck.my_balance;
drop function unstuck_private.caller_balance;
drop function unstuck.purchase_record_v1;
drop function unstuck.order_quote_v1;

--: source admin/job_repeat.sql 169129ba5d7b
-- Writes a new job with the input and the steps of a final one, for the same user. It costs nothing
-- unless p_charge; then it costs what the old job did, or the order of which that was a free retry.
-- A free one is refused for no balance and no debt. The wallet is told the input and its own
-- receipt of the old job, which says who paid. The old job and the user's account are locked.
create or replace function unstuck_private.job_repeat(
  p_job unstuck.jobs,
  p_tool unstuck.tools,
  p_charge boolean,
  p_new_job_id uuid
)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_steps jsonb;
  v_has_lost_input boolean;
  v_price bigint := 0;
  v_balance bigint := 0;
begin
  select jsonb_agg(s.input order by s.step), coalesce(bool_or(s.input = '{}'), false)
  into v_steps, v_has_lost_input
  from unstuck.job_steps s
  where s.job_id = p_job.id;
  if v_steps is null then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  -- Retention empties old inputs: then there is nothing to repeat.
  if v_has_lost_input then
    perform unstuck_private.refuse(
      409, 'already_final',
      jsonb_build_object(
        'status', p_job.status,
        'refundedCredits', p_job.credits_refunded,
        'reason', 'its input is kept no longer'));
  end if;
  if exists (
    select
    from unstuck.jobs j
    where j.exclusive_key = p_tool.exclusive_group || ':' || p_job.user_id
      and j.status in ('queued', 'starting', 'running')
  ) then
    perform unstuck_private.refuse(409, 'active_job_exists');
  end if;
  perform unstuck_private.account_lock(p_job.user_id);
  if p_charge then
    v_price := unstuck_private.price_paid(p_job);
    perform unstuck_private.wallet_price(
      p_job.user_id, p_tool.tool,
      p_job.input || coalesce(unstuck_private.job_receipt(p_job.id), '{}'), v_price);
    v_balance := unstuck_private.refuse_over_balance(p_job.user_id, p_tool.tool, v_price);
  end if;
  if exists (select from unstuck.jobs j where j.id = p_new_job_id) then
    perform unstuck_private.refuse(409, 'idempotency_conflict');
  end if;
  perform unstuck_private.job_write(
    p_job.user_id, p_new_job_id, p_tool, p_job.session_id, p_job.input,
    coalesce(p_job.request_hash, 'retry'), v_steps, v_price, v_balance, p_job.id);
end $$;

revoke all on function unstuck_private.job_repeat from public, anon, authenticated, service_role;

--: source order/order_quote_v1.sql 6a32bea30af9
create or replace function unstuck.order_quote_v1(
  p_tool text,
  p_input jsonb,
  p_steps int,
  p_user_id uuid default null,
  p_measured jsonb default null
)
returns table (
  credits bigint,
  balance bigint,
  enough boolean,
  eta_seconds int,
  unmeasured text,
  lowest bigint,
  waits boolean
)
language plpgsql
stable
security definer
set search_path = ''
set statement_timeout = '10s'
-- However few rows the statistics know, they are read by their indexes.
set enable_seqscan = off
set jit = off
as
$$
declare
  v_tool unstuck.tools;
  v_unlimited boolean;
begin
  select t.*
  into v_tool
  from unstuck.tools t
  where t.tool = p_tool;
  if not found or p_steps is null or p_steps not between 1 and 20 then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  if not v_tool.enabled then
    perform unstuck_private.refuse(503, 'tool_disabled');
  end if;
  select p.credits, p.unmeasured, p.lowest
  into credits, unmeasured, lowest
  from unstuck_private.order_price(v_tool, p_input, p_steps, coalesce(p_measured, '{}')) p;
  eta_seconds := unstuck_private.seconds_until_start(v_tool);
  waits := p_user_id is not null and unstuck_private.credits_wait(p_user_id);
  if p_user_id is not null then
    credits := unstuck_private.wallet_price(p_user_id, p_tool, p_input, credits);
    lowest := unstuck_private.wallet_price(p_user_id, p_tool, p_input, lowest);
    select w.balance, w.unlimited
    into balance, v_unlimited
    from unstuck_private.wallet_lock(p_user_id, p_tool, null) w;
    balance := coalesce(balance, 0);
    if v_unlimited then
      credits := 0;
      lowest := 0;
    end if;
    enough := (balance >= credits or v_unlimited is true)
      and unstuck_private.debt_open(p_user_id) = 0;
  end if;
  return next;
end $$;

comment on function unstuck.order_quote_v1 is $c$
Caller: the function that creates the tool's jobs, for its quote; p_user_id is the verified user, or
null for nobody: then balance and enough are null, and an app's own wallet is not asked.

Effect: none; what `job_enqueue_v2` would charge for this order now, and in how many seconds its job
would start. unmeasured: the price is by this unit of the order's files, which p_measured does not
say, and is the largest; lowest: that of the smallest files. enough: the order would be taken, which
none is while a debt is open. waits: credits wait for the user, which `user_heal_v1` gives; the
balance is without them.

Refuses: bad_request, tool_disabled; what the app's wallet refuses.

Replay: reads again.
$c$;

revoke all on function unstuck.order_quote_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.order_quote_v1 to service_role;

--: source purchase/credits_wait.sql 83fe5510d4ef
-- Whether something waits for this user that `waiting_credits_give` would give: the sign-up bonus,
-- or a purchase.
create or replace function unstuck_private.credits_wait(p_user_id uuid) returns boolean
language sql
stable
set search_path = ''
as
$$
  select (
    not exists (select from unstuck.credit_accounts a where a.user_id = p_user_id)
    and unstuck_private.signup_bonus_due(p_user_id) is not null
  ) or exists (
    select
    from unstuck.purchases p
    where p.waits
      and (
        p.user_id = p_user_id
        or p.email = (select (unstuck_private.auth_user(p_user_id, null)).confirmed_email)
      )
  )
$$;

revoke all on function unstuck_private.credits_wait from public, anon, authenticated, service_role;

--: source purchase/purchase_back.sql 8c0d32fd9ba1
-- Which part of a payment of p_amount (null: it is not known) these facts take back: what is
-- refunded and, on top, what open and lost disputes are about. Disputes are what they were at the
-- latest moment.
create or replace function unstuck_private.purchase_back(p_facts jsonb, p_amount bigint)
returns numeric
language sql
immutable
as
$$
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
$$;

revoke all on function unstuck_private.purchase_back from public, anon, authenticated, service_role;

--: source purchase/purchase_fact.sql 0ab099bce76f
-- A fact as a purchase keeps it: without its keys and its time, and with what its pack gives now,
-- so that another price of the pack changes nothing that was bought. Refuses a malformed one.
create or replace function unstuck_private.purchase_fact(p_fact jsonb) returns jsonb
language plpgsql
set search_path = ''
as
$$
declare
  v_fact jsonb;
  v_gives jsonb;
begin
  if jsonb_typeof(p_fact) is distinct from 'object'
    or jsonb_typeof(p_fact -> 'keys') is distinct from 'array'
    or jsonb_array_length(p_fact -> 'keys') not between 1 and 100
    or p_fact @? '$.keys[*] ? (@.type() != "string" || @ == "")'
    or p_fact @? '$.** ? (@.type() == "number" && @ < 0)'
    or p_fact @? '$.refundedShare.share ? (@ > 1)'
    or p_fact @? '$.quantities.* ? (@.type() != "number")'
    or p_fact @? '$.refunds.* ? (!(@.status like_regex "^(pending|succeeded|failed|canceled)$"))'
    or p_fact @? '$.disputes.* ? (!(@.status like_regex "^(open|won|lost|warning)$"))'
    or p_fact @? '$.refunds.* ? (!exists (@.at))'
    or p_fact @? '$.disputes.* ? (!exists (@.at))'
    or p_fact @? '$.refundTotal ? (!exists (@.at) || !exists (@.amount))'
    or p_fact @? '$.refundedShare ? (!exists (@.at) || !exists (@.share))'
  then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  begin
    v_fact := jsonb_strip_nulls(
      p_fact - array['keys', 'at', 'bound', 'gives']
      || jsonb_build_object(
        'userId', nullif((p_fact ->> 'userId')::uuid, unstuck_private.erased_user()),
        'email', nullif(lower(btrim(p_fact ->> 'email')), '')
      )
    );
    perform d.*
    from unstuck_private.purchase_due(jsonb_build_array(v_fact)) d;
  exception when data_exception then
    perform unstuck_private.refuse(400, 'bad_request');
  end;
  select jsonb_strip_nulls(jsonb_build_object(
    'pack', (array_agg(c.pack order by c.position, c.pack))[1],
    'packs', nullif(count(*), 1),
    'credits', sum(c.credits * case
      when c.pack = v_fact ->> 'pack' then 1
      else coalesce((v_fact -> 'quantities' ->> c.price_id)::numeric, 1)
    end)
  ))
  into v_gives
  from unstuck.credit_packs c
  where c.pack = v_fact ->> 'pack'
    or v_fact -> 'priceIds' ? c.price_id and not exists (
      select from unstuck.credit_packs n
      where n.pack = v_fact ->> 'pack'
    )
  having count(*) > 0;
  return jsonb_strip_nulls(v_fact || jsonb_build_object('gives', v_gives));
end $$;

revoke all on function unstuck_private.purchase_fact from public, anon, authenticated, service_role;

--: source purchase/purchase_fact_kept.sql 4e443e87e33b
-- A fact with what its pack gave when another fact of the same purchase named it first: what a pack
-- gives later changes nothing that was bought.
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

--: source purchase/purchase_record_v1.sql 901841f51815
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

--: source purchase/purchase_refunded.sql ef34f3567431
-- Which part of a payment of p_amount (null: it is not known) these facts say is refunded; more
-- than all of it where they contradict each other. Totals and refunds are what they were at the
-- latest moment; a refund that failed once stays failed. A payment may have several charges: of
-- each the larger one of its refunds that are known singly and of its total, less what failed since
-- then, is refunded. A total that names no charge is of the whole payment, and counts where it is
-- the latest.
create or replace function unstuck_private.purchase_refunded(p_facts jsonb, p_amount bigint)
returns numeric
language sql
immutable
as
$$
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
$$;

revoke all on function unstuck_private.purchase_refunded
from public, anon, authenticated, service_role;

--: source purchase/purchases_join.sql 9214a9655319
-- Joins these purchases, which one fact names together, into the first of them, the oldest, whose
-- packs give what they gave then. What was given of each stays in the ledger under its own id. The
-- purchases are locked.
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

--: source purchase/signup_bonus_due.sql ef61609c4e9b
-- The bonus that is due to a user without an account: one who signed up after the bonus was
-- switched on, and who was never here before. Null where none is.
create or replace function unstuck_private.signup_bonus_due(p_user_id uuid) returns bigint
language sql
stable
set search_path = ''
as
$$
  select b.credits
  from unstuck.signup_bonus b
  where not unstuck_private.has_adapter()
    and not exists (select from unstuck.erasures e where e.user_id = p_user_id)
    and not exists (select from unstuck.credit_entries e where e.user_id = p_user_id)
    and (unstuck_private.auth_user(p_user_id, null)).created_at >= b.since
$$;

revoke all on function unstuck_private.signup_bonus_due
from public, anon, authenticated, service_role;

--: source purchase/signup_bonus_give.sql f86715af9423
-- Gives the bonus, where it is due, to a user whose account was made just now. The account is
-- locked.
create or replace function unstuck_private.signup_bonus_give(p_user_id uuid) returns void
language sql
set search_path = ''
as
$$
  insert into unstuck.credit_entries (user_id, kind, amount, reason, idempotency_key)
  select p_user_id, 'bonus', b.credits, 'sign-up', 'signup:' || p_user_id
  from unstuck_private.signup_bonus_due(p_user_id) as b (credits)
  where b.credits is not null
$$;

revoke all on function unstuck_private.signup_bonus_give
from public, anon, authenticated, service_role;

--: source sweep/user_heal_v1.sql be29309fd604
create or replace function unstuck.user_heal_v1(p_user_id uuid)
returns table (healed int, refunded_credits bigint)
language sql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
  select unstuck_private.refuse_other_deployment();
  select unstuck_private.waiting_credits_give(p_user_id)
  where unstuck_private.credits_wait(p_user_id);
  select count(s.job_id)::int, unstuck_private.clamp_to_bigint(coalesce(sum(s.refunded), 0))
  from unstuck_private.sweep(clock_timestamp(), p_user_id, 200, interval '3 seconds') s
$$;

comment on function unstuck.user_heal_v1 is $c$
Caller: a request that was refused because of the user's own live jobs or for too few credits, and a
quote of a user for whom credits wait.

Effect: gives the user what waits, the sign-up bonus and purchases, so that it stays whatever is
refused; then heals the jobs of this user that ran out of time. The heal waits at most a second for
the user's account; if another transaction holds it for longer, nothing is healed.

Refuses: nothing.

Replay: zeros.
$c$;

revoke all on function unstuck.user_heal_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.user_heal_v1 to service_role;

--: source wallet/caller_balance.sql 2117f10899c1
-- What the caller may spend, and owes, and whether more waits; for the view `my_balance`.
create or replace function unstuck_private.caller_balance(
  out balance bigint,
  out debt bigint,
  out waits boolean
)
language sql
stable
security definer
set search_path = ''
as
$$
  select unstuck_private.balance_shown(auth.uid(), null), unstuck_private.debt_open(auth.uid()),
    unstuck_private.credits_wait(auth.uid())
$$;

revoke all on function unstuck_private.caller_balance
from public, anon, authenticated, service_role;
grant execute on function unstuck_private.caller_balance to authenticated, service_role;

--: source view/my_balance.sql d099b80e4ed1
create view unstuck.my_balance
with (security_invoker = true) as
select b.balance, b.debt, b.waits
from unstuck_private.caller_balance() b;

comment on view unstuck.my_balance is $c$
One row: what the caller may spend, whoever holds the balance, the debt that stops orders, and
whether credits wait that the caller's next quote, order or `check-user-active` gives.
$c$;

revoke all on unstuck.my_balance from public, anon, authenticated, service_role;
grant select on unstuck.my_balance to authenticated, service_role;

--: history
insert into unstuck_private.migrations (number, name, hash)
values (
  8,
  'mends_of_purchases',
  'd7f2d375929673e26488ef4fa454e903993a714573be4954e52b69c9575edcfe'
);

notify pgrst, 'reload schema';

commit;

-- pg_cron overlooks a schedule among so many changes: change it once more, alone.
do $scheduled$
declare
  v_job bigint;
begin
  select j.jobid
  into v_job
  from cron.job j
  where j.command = 'select unstuck.cleanup_all_stale_ai_jobs()';
  if found then
    perform pg_sleep(2.5);
    perform cron.alter_job(v_job, schedule => '* * * * *');
  end if;
exception when undefined_table or undefined_function or insufficient_privilege then
  null;
end $scheduled$;
