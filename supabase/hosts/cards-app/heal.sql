-- Closes what hangs in the job tables of the app of cards since before we came, and returns the
-- shares of the cards that were never made, once, through the app's own wallet. Send this file as
-- the role that installed, then `select * from unstuck_private.host_heal();`: one row for each job
-- that it closed or had to leave. In a transaction that is rolled back it only shows them.
--
-- A card's share is the price divided by the number of cards, by rounding, as in the app. Cards
-- that had failed before are the app's own affair: it says so, and returns nothing for them.
--
-- That a job was charged its own row does not say: a movement of the same amount at its time does.
-- A job without one of its own is left, and so is one that a refund of the app names.

begin;

-- True where the app took the price of this job, and no other job can have been meant.
create or replace function unstuck_private.host_was_charged(p_id uuid) returns boolean
language sql
stable
set search_path = public, extensions
as
$$
  select (
    select count(*)
    from token_transactions t
    where t.user_id = j.user_id
      and t.transaction_type = 'generation'
      and t.amount = -j.tokens_cost
      and t.created_at between j.created_at - interval '1 minute'
        and j.created_at + interval '1 minute'
  ) >= (
    select count(*)
    from generation_jobs g
    where g.user_id = j.user_id
      and g.tokens_cost = j.tokens_cost
      and g.created_at between j.created_at - interval '2 minutes'
        and j.created_at + interval '2 minutes'
  )
  from generation_jobs j
  where j.id = p_id
$$;

create or replace function unstuck_private.host_heal_one(
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
  v_settings jsonb := unstuck_private.host_enter('{"app.bypass_token_protection": ""}');
  v_job generation_jobs;
  v_done int;
  v_failed int;
begin
  select * into v_job
  from generation_jobs g
  where g.id = p_id;
  user_id := v_job.user_id;
  returned := 0;
  if coalesce(v_job.total_cards, 0) <= 0 or coalesce(v_job.tokens_cost, -1) < 0 then
    note := 'left: without a number of cards or a price';
    perform unstuck_private.settings_swap(v_settings);
    return;
  end if;
  select count(*) filter (where t.status = 'completed'), count(*) filter (where t.status = 'failed')
  into v_done, v_failed
  from generation_tasks t
  where t.job_id = p_id;
  returned := v_job.tokens_cost
    - round(v_job.tokens_cost::numeric * least(v_done + v_failed, v_job.total_cards)
      / v_job.total_cards);
  note := case
    when returned <= 0 then null
    when exists (
      select from token_transactions t
      where t.user_id = v_job.user_id
        and t.transaction_type = 'refund'
        and t.description like '%' || p_id || '%'
    ) then 'left: a refund of the app names it'
    when not unstuck_private.host_was_charged(p_id) then 'left: no movement of its own charged it'
  end;
  if note is not null then
    returned := 0;
    perform unstuck_private.settings_swap(v_settings);
    return;
  end if;
  if returned > 0
    and refund_tokens(user_id, returned::int, 'job ' || p_id) is not true
  then
    raise exception 'refund_tokens refuses % tokens for %', returned, user_id;
  end if;
  update generation_tasks t
  set status = 'failed',
    last_error = 'It hung.',
    completed_at = now()
  where t.job_id = p_id
    and t.status not in ('completed', 'failed');
  -- The app's trigger has closed the job by its cards; one without cards is closed here.
  update generation_jobs g
  set status = case
      when g.status in ('pending', 'processing') then 'failed'
      else g.status
    end,
    completed_at = coalesce(g.completed_at, now()),
    error_message = 'It hung; ' || returned || ' tokens were returned.'
  where g.id = p_id;
  note := case
    when v_failed > 0 then v_failed || ' cards had failed before: look whether they were returned'
    else 'by the price of the job'
  end;
  perform unstuck_private.settings_swap(v_settings);
end $$;

create or replace function unstuck_private.host_heal(p_older interval default '1 hour')
returns table (host_table text, job_id uuid, user_id uuid, returned bigint, note text)
language plpgsql
set search_path = public, extensions
as
$$
begin
  host_table := 'generation_jobs';
  for job_id in
    select g.id
    from generation_jobs g
    where g.status in ('pending', 'processing')
      and coalesce(g.started_at, g.created_at) < now() - p_older
      and not exists (
        select from unstuck.jobs j
        where j.id = g.id
          and j.user_id = g.user_id
          and j.request_hash is not null
      )
    order by g.created_at, g.id
    for no key update skip locked
  loop
    begin
      select h.user_id, h.returned, h.note
      into host_heal.user_id, host_heal.returned, host_heal.note
      from unstuck_private.host_heal_one(job_id) h;
    exception when others then
      user_id := null;
      returned := 0;
      note := 'left: ' || sqlerrm;
    end;
    return next;
  end loop;
end $$;

revoke all on function
  unstuck_private.host_was_charged,
  unstuck_private.host_heal_one,
  unstuck_private.host_heal
from public, anon, authenticated, service_role;

commit;
