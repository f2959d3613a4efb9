-- Returns a fact in the form in which a purchase keeps it: without its keys and its time, with its
-- e-mail address in lower case, and with what its pack gives now (`gives`), so that a later change
-- of the pack does not change what was bought. Refuses a malformed fact with bad_request.
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
    or p_fact @? '$["link", "subscription"] ? (@.type() != "string" || @ == "")'
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
  where case
    when exists (select from unstuck.credit_packs n where n.pack = v_fact ->> 'pack')
      then c.pack = v_fact ->> 'pack'
    when exists (select from unstuck.credit_packs n where n.price_id = v_fact ->> 'link')
      then c.price_id = v_fact ->> 'link'
    else v_fact -> 'priceIds' ? c.price_id
  end
  having count(*) > 0;
  return jsonb_strip_nulls(v_fact || jsonb_build_object('gives', v_gives));
end $$;

revoke all on function unstuck_private.purchase_fact from public, anon, authenticated, service_role;
