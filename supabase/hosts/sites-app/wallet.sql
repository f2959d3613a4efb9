-- The wallet of the app of websites: a team pays, down to minus its credit limit. The app counts
-- money with two digits, so a credit here is a hundredth. Send this file as one query, as the role
-- that installed.
--
-- An order names its team in `teamId`; where its user is an approved member of one team only, that
-- team pays. `wallet_price` decides it and leaves it in the setting `unstuck.team` of the
-- transaction. An admin's paid retry and a refund are of the team of the receipt.

begin;

select unstuck_private.wallet_attach('sites-app');

-- The teams that may pay for this user: the one that the order named, else all that let the user
-- in.
create or replace function unstuck_private.host_teams(p_user_id uuid) returns uuid[]
language sql
stable
set search_path = public, extensions
as
$$
  select case
    when split_part(current_setting('unstuck.team', true), ' ', 1) = p_user_id::text
      then array[split_part(current_setting('unstuck.team', true), ' ', 2)::uuid]
    else array(
      select m.team_id
      from team_members m
      where m.user_id = p_user_id
        and m.status = 'approved'
      order by m.team_id
    )
  end
$$;

-- The one team that may pay, else a refusal.
create or replace function unstuck_private.host_team(p_user_id uuid) returns uuid
language plpgsql
set search_path = public, extensions
as
$$
declare
  v_teams uuid[] := unstuck_private.host_teams(p_user_id);
begin
  if cardinality(v_teams) = 0 then
    perform unstuck_private.refuse(403, 'forbidden');
  elsif cardinality(v_teams) > 1 then
    perform unstuck_private.refuse(400, 'bad_request', '{"field": "teamId"}');
  end if;
  return v_teams[1];
end $$;

create or replace function unstuck_private.wallet_price(
  p_user_id uuid,
  p_tool text,
  p_input jsonb,
  p_price bigint
)
returns bigint
language plpgsql
set search_path = public, extensions
as
$$
declare
  v_named text := coalesce(p_input ->> 'team', p_input ->> 'teamId');
  v_team uuid;
begin
  perform set_config('unstuck.team', '', true);
  if v_named is not null then
    select m.team_id into v_team
    from team_members m
    where m.user_id = p_user_id
      and m.team_id::text = lower(v_named)
      and m.status = 'approved';
    if not found then
      perform unstuck_private.refuse(403, 'forbidden', '{"field": "teamId"}');
    end if;
  else
    v_team := unstuck_private.host_team(p_user_id);
  end if;
  perform set_config('unstuck.team', p_user_id || ' ' || v_team, true);
  return coalesce(
    (
      select round(100 * case p_tool
        when 'generate-website' then t.html_price
        when 'generate-react-website' then t.react_price
        when 'generate-php-website' then t.php_price
      end)::bigint
      from team_pricing t
      where t.team_id = v_team
    ),
    p_price
  );
end $$;

-- Where several teams may pay, the balance is that of the richest: one order has one payer.
create or replace function unstuck_private.wallet_lock(
  p_user_id uuid,
  p_tool text,
  p_wait boolean
)
returns table (balance bigint, unlimited boolean)
language plpgsql
set search_path = public, extensions
as
$$
declare
  v_teams uuid[] := unstuck_private.host_teams(p_user_id);
  v_there int;
  v_locked int;
  v_spendable numeric;
begin
  select count(*) into v_there
  from teams t
  where t.id = any (v_teams);
  if p_wait then
    select count(*), max(l.spendable) into v_locked, v_spendable
    from (
      select t.balance + t.credit_limit as spendable
      from teams t
      where t.id = any (v_teams)
      order by t.id
      for no key update
    ) l;
  elsif p_wait is null then
    select max(t.balance + t.credit_limit) into v_spendable
    from teams t
    where t.id = any (v_teams);
  else
    select count(*), max(l.spendable) into v_locked, v_spendable
    from (
      select t.balance + t.credit_limit as spendable
      from teams t
      where t.id = any (v_teams)
      order by t.id
      for no key update skip locked
    ) l;
    if v_locked < v_there then
      return;
    end if;
  end if;
  return query select greatest(floor(100 * coalesce(v_spendable, 0)), 0)::bigint, false;
end $$;

-- Moves a team's balance, and writes the app's own row of it, whose id it returns. The row names
-- the website where the app has that already: `projection.sql` names it later where it has not.
-- Where a transaction of the app holds the website, it may wait for the team: so this does not wait
-- for the website, and a refund is owed.
create or replace function unstuck_private.host_team_move(
  p_team uuid,
  p_amount bigint,
  p_type text,
  p_job_id uuid,
  p_user_id uuid,
  p_reason text
)
returns uuid
language plpgsql
set search_path = public, extensions
as
$$
declare
  v_settings jsonb := unstuck_private.host_enter();
  v_money numeric := round(p_amount / 100.0, 2);
  v_team teams;
  v_movement uuid;
begin
  update teams t
  set balance = t.balance + v_money
  where t.id = p_team
  returning * into v_team;
  if not found then
    raise exception 'there is no team %', p_team;
  end if;
  insert into credit_transactions
    (team_id, generation_id, type, amount, balance_before, balance_after, credit_limit,
      is_on_credit, note, created_by)
  values (
    p_team,
    (select g.id from generation_history g where g.id = p_job_id for key share nowait),
    p_type, v_money, v_team.balance - v_money, v_team.balance,
    v_team.credit_limit, v_team.balance < 0, concat_ws(' ', p_reason, p_job_id), p_user_id)
  returning id into v_movement;
  perform unstuck_private.settings_swap(v_settings);
  return v_movement;
end $$;

create or replace function unstuck_private.wallet_debit(
  p_user_id uuid,
  p_tool text,
  p_amount bigint,
  p_job_id uuid,
  p_reason text,
  out taken bigint,
  out receipt jsonb
)
language plpgsql
set search_path = public, extensions
as
$$
declare
  v_team teams;
begin
  select * into v_team
  from teams t
  where t.id = unstuck_private.host_team(p_user_id)
  for no key update;
  if v_team.balance + v_team.credit_limit < p_amount / 100.0::numeric then
    perform unstuck_private.refuse(402, 'insufficient_credits', jsonb_build_object(
      'balance', floor(100 * (v_team.balance + v_team.credit_limit)), 'required', p_amount));
  end if;
  taken := p_amount;
  receipt := jsonb_build_object(
    'team', v_team.id,
    'movement', unstuck_private.host_team_move(
      v_team.id, -p_amount, 'generation', p_job_id, p_user_id, p_reason));
end $$;

create or replace function unstuck_private.wallet_refund(
  p_user_id uuid,
  p_amount bigint,
  p_job_id uuid,
  p_reason text,
  p_receipt jsonb,
  out given bigint
)
language plpgsql
set search_path = public, extensions
as
$$
begin
  perform unstuck_private.host_team_move(
    coalesce((p_receipt ->> 'team')::uuid, unstuck_private.host_team(p_user_id)),
    p_amount, 'refund', p_job_id, p_user_id, p_reason);
  given := p_amount;
end $$;

create or replace function unstuck_private.wallet_grant(
  p_user_id uuid,
  p_amount bigint,
  p_kind text,
  p_reason text,
  out balance bigint,
  out receipt jsonb
)
language plpgsql
set search_path = public, extensions
as
$$
#variable_conflict use_column
declare
  v_team uuid := unstuck_private.host_team(p_user_id);
begin
  perform unstuck_private.host_team_move(v_team, p_amount, p_kind, null, p_user_id, p_reason);
  receipt := jsonb_build_object('team', v_team);
  select greatest(floor(100 * (t.balance + t.credit_limit)), 0)::bigint
  into wallet_grant.balance
  from teams t
  where t.id = v_team;
end $$;

-- A team's credit limit is for websites: what is taken back leaves no less than 0.
create or replace function unstuck_private.wallet_take(
  p_user_id uuid,
  p_amount bigint,
  p_kind text,
  p_reason text,
  p_receipt jsonb,
  out taken bigint
)
language plpgsql
set search_path = public, extensions
as
$$
declare
  v_team uuid := coalesce((p_receipt ->> 'team')::uuid, unstuck_private.host_team(p_user_id));
begin
  select greatest(least(floor(100 * t.balance)::bigint, p_amount), 0) into taken
  from teams t
  where t.id = v_team
  for no key update;
  taken := coalesce(taken, 0);
  if taken > 0 then
    perform unstuck_private.host_team_move(v_team, -taken, p_kind, null, p_user_id, p_reason);
  end if;
end $$;

revoke all on function
  unstuck_private.host_teams,
  unstuck_private.host_team,
  unstuck_private.host_team_move,
  unstuck_private.wallet_price,
  unstuck_private.wallet_lock,
  unstuck_private.wallet_debit,
  unstuck_private.wallet_refund,
  unstuck_private.wallet_grant,
  unstuck_private.wallet_take
from public, anon, authenticated, service_role;

commit;
