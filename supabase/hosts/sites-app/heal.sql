-- Closes what hangs in the table of the app of websites since before we came, and returns to the
-- team of each record what it paid, once. Send this file as the role that installed, then
-- `select * from unstuck_private.host_heal();`: one row for each record that it closed or had to
-- leave, in hundredths. In a transaction that is rolled back it only shows them.
--
-- What was paid is what the app's movements of that record add up to, else its `sale_price`. A
-- record with an appeal, or with a price and no team, is left to a person.

begin;

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
  v_record generation_history;
  v_moved numeric;
begin
  select * into v_record
  from generation_history g
  where g.id = p_id;
  user_id := v_record.user_id;
  returned := 0;
  if exists (select from appeals a where a.generation_id = p_id) then
    note := 'left: it has an appeal';
    return;
  end if;
  select -sum(c.amount) into v_moved
  from credit_transactions c
  where c.generation_id = p_id;
  returned := greatest(round(100 * coalesce(v_moved, v_record.sale_price, 0)), 0);
  if returned > 0 and v_record.team_id is null then
    returned := 0;
    note := 'left: it has a price and no team';
    return;
  end if;
  if returned > 0 then
    perform unstuck_private.host_team_move(
      v_record.team_id, returned, 'refund', p_id, user_id, 'it hung:');
  end if;
  update generation_history g
  set status = 'failed',
    completed_at = now(),
    error_message = 'It hung; ' || round(returned / 100.0, 2) || ' were returned.'
  where g.id = p_id;
  perform decrement_active_generations();
  note := case when v_moved is null then 'by its price' else 'by its movements' end;
end $$;

create or replace function unstuck_private.host_heal(p_older interval default '1 hour')
returns table (host_table text, job_id uuid, user_id uuid, returned bigint, note text)
language plpgsql
set search_path = public, extensions
as
$$
begin
  host_table := 'generation_history';
  for job_id in
    select g.id
    from generation_history g
    where g.status in ('pending', 'generating')
      and g.created_at < now() - p_older
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

revoke all on function unstuck_private.host_heal_one, unstuck_private.host_heal
from public, anon, authenticated, service_role;

commit;
