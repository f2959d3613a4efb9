-- An app that keeps the credits of its users itself, with a history of every movement, and its
-- adapter. The app is harsh: for some minutes it refuses refunds, gives half of them, is away, or
-- locks the rows of all users in a transaction of its own; some users are unlimited; it gives and
-- spends credits by hand. The auditor reads its tables.

begin;

create table public.profiles (
  id uuid primary key,
  credits bigint not null default 0 check (credits >= 0),
  unlimited boolean not null default false
);

create table public.credit_history (
  id bigint generated always as identity primary key,
  profile_id uuid not null references public.profiles,
  job_id uuid,
  kind text not null
    check (kind in ('own', 'taken', 'given back', 'granted', 'taken back')),
  amount bigint not null check (amount <> 0)
);

-- What goes wrong, and until when.
create table public.outages (what text primary key, until timestamptz not null);

create trigger zz_auditor after insert or update or delete on public.profiles
for each row execute function auditor.note();
create trigger zz_auditor after insert or update or delete on public.credit_history
for each row execute function auditor.note();

create function public.is_out(p_what text) returns boolean
language plpgsql
stable
set search_path = public
as
$$
begin
  return exists (
    select from outages o
    where o.what = p_what
      and o.until > clock_timestamp()
  );
end $$;

-- Moves credits and returns the movement's number. Only the app's service may.
create function public.credits_move(p_profile uuid, p_amount bigint, p_kind text, p_job uuid)
returns bigint
language plpgsql
set search_path = public
as
$$
declare
  v_id bigint;
begin
  if current_setting('request.jwt.claims', true)::jsonb ->> 'role' is distinct from 'service_role'
  then
    raise exception 'only the service moves credits';
  end if;
  update profiles p
  set credits = p.credits + p_amount
  where p.id = p_profile;
  if not found then
    raise exception 'user % has no profile', p_profile;
  end if;
  insert into credit_history (profile_id, job_id, kind, amount)
  values (p_profile, p_job, p_kind, p_amount)
  returning id
  into v_id;
  return v_id;
end $$;

-- The app gives a user credits, or sells something else for at most what is there.
create function public.credits_move_by_hand(p_profile uuid, p_amount bigint) returns void
language plpgsql
set search_path = public
as
$$
declare
  v_amount bigint;
begin
  perform set_config('request.jwt.claims', '{"role":"service_role"}', true);
  select greatest(p_amount, -p.credits)
  into v_amount
  from profiles p
  where p.id = p_profile;
  if v_amount <> 0 then
    perform credits_move(p_profile, v_amount, 'own', null);
  end if;
end $$;

-- Fails where the app cannot be asked now.
create function public.wallet_reach() returns void
language plpgsql
set search_path = public
as
$$
begin
  if is_out('away') then
    raise exception 'the wallet is away';
  end if;
  if is_out('locked') then
    raise exception 'the wallet is locked' using errcode = 'lock_not_available';
  end if;
end $$;

select unstuck_private.wallet_attach('simulated-app');

-- The app sells videos at a price of its own.
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
begin
  perform wallet_reach();
  return case p_tool when 'runninghub-video-upscaler' then p_price * 3 / 4 else p_price end;
end $$;

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
begin
  if is_out('locked') and not coalesce(p_wait, false) then
    return query
    select p.credits, p.unlimited
    from profiles p
    where p.id = p_user_id
      and p_wait is null;
    return;
  end if;
  perform wallet_reach();
  if p_wait is not null then
    perform from profiles p
    where p.id = p_user_id
    for no key update;
  end if;
  return query
  select p.credits, p.unlimited
  from profiles p
  where p.id = p_user_id;
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
  v_settings jsonb := unstuck_private.host_enter();
  v_profile profiles;
begin
  perform wallet_reach();
  select *
  into v_profile
  from profiles p
  where p.id = p_user_id;
  taken := case when v_profile.unlimited then 0 else p_amount end;
  if v_profile.credits < taken then
    perform unstuck_private.refuse(402, 'insufficient_credits', jsonb_build_object(
      'balance', v_profile.credits, 'required', p_amount));
  end if;
  if taken > 0 then
    receipt := jsonb_build_object(
      'movement', credits_move(p_user_id, -taken, 'taken', p_job_id));
  end if;
  perform unstuck_private.settings_swap(v_settings);
end $$;

-- Wants the movement that took the credits. Where it refuses, it has moved them before it fails.
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
declare
  v_settings jsonb := unstuck_private.host_enter();
begin
  perform wallet_reach();
  perform from credit_history h
  where h.id = (p_receipt ->> 'movement')::bigint
    and h.job_id = p_job_id
    and h.kind = 'taken';
  if not found then
    raise exception 'no movement of job % is %', p_job_id, p_receipt;
  end if;
  given := case when is_out('parts') then p_amount / 2 else p_amount end;
  if given > 0 then
    perform credits_move(p_user_id, given, 'given back', p_job_id);
  end if;
  if is_out('refunds') then
    raise exception 'the app takes nothing back now';
  end if;
  perform unstuck_private.settings_swap(v_settings);
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
declare
  v_settings jsonb := unstuck_private.host_enter();
begin
  perform wallet_reach();
  receipt := jsonb_build_object(
    'movement', credits_move(p_user_id, p_amount, 'granted', null));
  select p.credits
  into balance
  from profiles p
  where p.id = p_user_id;
  perform unstuck_private.settings_swap(v_settings);
end $$;

-- Where a receipt comes with it, wants the movement that gave the credits.
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
  v_settings jsonb := unstuck_private.host_enter();
begin
  perform wallet_reach();
  perform from credit_history h
  where h.id = (p_receipt ->> 'movement')::bigint
    and h.profile_id = p_user_id
    and h.kind = 'granted';
  if p_receipt is not null and not found then
    raise exception 'no grant to % is %', p_user_id, p_receipt;
  end if;
  select least(p.credits, p_amount)
  into taken
  from profiles p
  where p.id = p_user_id;
  if taken > 0 then
    perform credits_move(p_user_id, -taken, 'taken back', null);
  end if;
  perform unstuck_private.settings_swap(v_settings);
end $$;

-- The adapter stays when a used database is made new.
insert into auditor.first_rows
select 'unstuck_private.installed', jsonb_agg(to_jsonb(i))
from unstuck_private.installed i;

commit;
