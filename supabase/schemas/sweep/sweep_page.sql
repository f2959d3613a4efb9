-- One page: accounts locked by id, jobs locked, judged under the locks (asking first would ask twice), closed. The last row
-- counts what is due and left over: locked by others, or beyond p_limit.
create or replace function unstuck_private.sweep_page(p_now timestamptz, p_user_id uuid, p_ids uuid[], p_limit int)
returns table (job_id uuid, tool text, status text, refunded bigint, requeued int, remaining int)
language plpgsql
set search_path = ''
as
$$
#variable_conflict use_column
declare v_users uuid[]; v_locked uuid[]; v_ids uuid[]; v_statuses text[]; v_codes text[]; v_messages text[]; v_bad uuid[]; v_id uuid;
begin
  select array_agg(distinct j.user_id) into v_users from unstuck.jobs j where j.id = any (p_ids);
  insert into unstuck.credit_accounts (user_id) select u.id from unnest(v_users) as u (id) order by 1 on conflict do nothing;
  -- A user's own heal waits for its turn. A sweep over everybody waits for nobody, so that no two wait in a circle: who is
  -- busy is healed by the next one.
  if p_user_id is null then
    select array_agg(l.user_id) into v_users from (
      select a.user_id from unstuck.credit_accounts a where a.user_id = any (v_users) order by a.user_id for update skip locked) l;
  else
    perform unstuck_private.account_lock(p_user_id);
  end if;
  select array_agg(l.id) into v_locked from (
    select j.id from unstuck.jobs j where j.id = any (p_ids) and j.user_id = any (v_users) order by j.id for update skip locked) l;
  select array_agg(d.job_id), array_agg(d.status), array_agg(d.code), array_agg(d.message) into v_ids, v_statuses, v_codes, v_messages
  from unstuck_private.jobs_due(p_now, v_locked) d;
  return query
  select null::uuid, null::text, null::text, 0::bigint, 0, greatest(coalesce(cardinality(v_ids), 0) - p_limit, 0)
    + (select count(*)::int from unstuck_private.jobs_due(p_now, array(select i.id from unnest(p_ids) as i (id) except select l.id from unnest(v_locked) as l (id))));
  select array_agg(j.id) into v_bad from unstuck.jobs j
  where j.id = any (v_ids) and j.credits_refunded <> coalesce((
    select sum(e.amount) from unstuck.credit_entries e where e.job_id = j.id and e.kind = 'refund'), 0);
  if v_bad is not null then
    perform unstuck_private.jobs_quarantine(v_bad, 'credits_refunded does not agree with the ledger');
    select array_agg(d.id), array_agg(d.status), array_agg(d.code), array_agg(d.message) into v_ids, v_statuses, v_codes, v_messages
    from unnest(v_ids, v_statuses, v_codes, v_messages) as d (id, status, code, message) where d.id <> all (v_bad);
  end if;
  begin
    return query select c.job_id, c.tool, c.status, c.refunded, 0, 0
    from unstuck_private.jobs_close(v_ids[:p_limit], v_statuses[:p_limit], v_codes[:p_limit], v_messages[:p_limit]) c;
    return;
  exception when others then null;  -- one bad row fails the statement: close them one by one and set that one aside
  end;
  for i in 1 .. least(cardinality(v_ids), p_limit) loop
    v_id := v_ids[i];
    begin
      return query select c.job_id, c.tool, c.status, c.refunded, 0, 0 from unstuck_private.jobs_close(array[v_id], v_statuses[i:i], v_codes[i:i], v_messages[i:i]) c;
    exception when others then
      perform unstuck_private.jobs_quarantine(array[v_id], sqlerrm);
    end;
  end loop;
end $$;

revoke all on function unstuck_private.sweep_page from public, anon, authenticated, service_role;
