-- Closes what hangs in the job tables of the app of tools since before we came, and returns what
-- the app's own marks say was charged and not returned, once, through its own wallet. Send this
-- file as the role that installed, then `select * from unstuck_private.host_heal();`: one row for
-- each job that it closed or had to leave. In a transaction that is rolled back it only shows them.
--
-- The lifetime part gets back what exactly one row of the app says came from there; all else goes
-- to the monthly part, as the app's own refund does. A row without a user or a price is left.

begin;

create or replace function unstuck_private.host_heal_one(
  p_table regclass,
  p_id uuid,
  out user_id uuid,
  out returned bigint,
  out note text
)
language plpgsql
set search_path = public, extensions
as
$$
declare
  v_settings jsonb := unstuck_private.host_enter('{"app.ai_financial_write": "on"}');
  v_row jsonb;
  v_cost int;
  v_from text;
  v_answer record;
begin
  returned := 0;
  execute format('select to_jsonb(t) from %s t where t.id = $1', p_table)
  into v_row
  using p_id;
  user_id := (v_row ->> 'user_id')::uuid;
  if (v_row ->> 'credits_charged')::boolean
    and not coalesce((v_row ->> 'credits_refunded')::boolean, false)
  then
    v_cost := (v_row ->> 'user_credit_cost')::int;
    if user_id is null or coalesce(v_cost, 0) <= 0 then
      note := 'left: charged, and without a user or a price';
      perform unstuck_private.settings_swap(v_settings);
      return;
    end if;
    select case when count(*) = 1 then max(c.credit_type) end
    into v_from
    from upscaler_credit_transactions c
    where c.user_id = host_heal_one.user_id
      and c.transaction_type = 'consumption'
      and c.amount = -v_cost
      and c.created_at between (v_row ->> 'created_at')::timestamptz - interval '5 seconds'
        and coalesce(v_row ->> 'started_at', v_row ->> 'created_at')::timestamptz
          + interval '1 minute';
    if v_from = 'lifetime' then
      update upscaler_credits c
      set lifetime_balance = c.lifetime_balance + v_cost,
        balance = c.balance + v_cost,
        updated_at = now()
      where c.user_id = host_heal_one.user_id;
      if not found then
        raise exception 'user % has no row of upscaler_credits', user_id;
      end if;
      insert into upscaler_credit_transactions
        (user_id, amount, balance_after, transaction_type, description, credit_type)
      select c.user_id, v_cost, c.balance, 'refund', 'job ' || p_id, 'lifetime'
      from upscaler_credits c
      where c.user_id = host_heal_one.user_id;
      note := 'to the lifetime part it came from';
    else
      select * into v_answer
      from refund_upscaler_credits(user_id, v_cost, 'job ' || p_id);
      if v_answer.success is not true then
        raise exception 'refund_upscaler_credits refuses: %', v_answer.error_message;
      end if;
      note := case v_from when 'monthly' then 'to the monthly part it came from'
        else 'to the monthly part, by the app''s own rule' end;
    end if;
    returned := v_cost;
  end if;
  execute format(
    'update %s set status = ''failed'', completed_at = now(), '
      || 'credits_refunded = coalesce(credits_refunded, false) or $2 > 0, '
      || 'error_message = ''It hung; '' || $2 || '' credits were returned.'' where id = $1',
    p_table
  )
  using p_id, returned;
  note := coalesce(note, 'nothing was charged, or it came back before');
  perform unstuck_private.settings_swap(v_settings);
end $$;

create or replace function unstuck_private.host_heal(p_older interval default '1 hour')
returns table (host_table text, job_id uuid, user_id uuid, returned bigint, note text)
language plpgsql
set search_path = public, extensions
as
$$
declare
  v_table text;
begin
  foreach v_table in array
    array['upscaler_jobs', 'video_upscaler_jobs', 'pose_changer_jobs', 'veste_ai_jobs']
  loop
    for job_id in execute format(
      'select t.id from %I t '
        || 'where t.status in (''pending'', ''queued'', ''starting'', ''running'') '
        || 'and coalesce(t.started_at, t.created_at) < now() - $1 '
        || 'and not exists (select from unstuck.jobs j where j.id = t.id '
        || 'and j.user_id = t.user_id and j.request_hash is not null) '
        || 'order by t.created_at, t.id for no key update skip locked',
      v_table
    )
    using p_older
    loop
      host_table := v_table;
      begin
        select h.user_id, h.returned, h.note
        into host_heal.user_id, host_heal.returned, host_heal.note
        from unstuck_private.host_heal_one(v_table::regclass, job_id) h;
      exception when others then
        user_id := null;
        returned := 0;
        note := 'left: ' || sqlerrm;
      end;
      return next;
    end loop;
  end loop;
end $$;

revoke all on function unstuck_private.host_heal_one, unstuck_private.host_heal
from public, anon, authenticated, service_role;

commit;
