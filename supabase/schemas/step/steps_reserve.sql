-- Reserves steps, which are locked, for a caller that is about to query the provider: sets their
-- `checked_at` and, for a copy, a lease. Each element of `p_keys` names a step, what is due of it
-- and whether it is overdue. Returns the reserved steps in that order, without those whose row
-- cannot be written.
create or replace function unstuck_private.steps_reserve(p_now timestamptz, p_keys jsonb)
returns table (
  job_id uuid,
  step int,
  run bigint,
  due text,
  task_id text,
  overdue boolean,
  output jsonb,
  input jsonb,
  done_at timestamptz,
  sent_at timestamptz,
  provider_cancel_due jsonb
)
language plpgsql
set search_path = ''
as
$$
#variable_conflict use_column
declare
  v_key jsonb;
begin
  begin
    update unstuck.job_steps s
    set checked_at = p_now,
      lease_until = case when k.due = 'copy' then p_now + i.lease else s.lease_until end
    from jsonb_to_recordset(p_keys) as k (job_id uuid, step int, due text)
    cross join unstuck_private.intervals() i
    where s.job_id = k.job_id
      and s.step = k.step;
  exception when others then
    if jsonb_array_length(p_keys) > 1 then
      for v_key in
        select k.value
        from jsonb_array_elements(p_keys) k
      loop
        return query
        select *
        from unstuck_private.steps_reserve(p_now, jsonb_build_array(v_key));
      end loop;
    end if;
    return;
  end;
  return query
  select s.job_id, s.step, s.run, k.due, s.provider_task_id, k.overdue, s.output,
    case
      when k.due = 'inbox' then s.input
      else jsonb_build_object('result', s.input -> 'result')
    end,
    s.provider_done_at, s.sent_at, s.provider_cancel_due
  from rows from (
    jsonb_to_recordset(p_keys) as (job_id uuid, step int, due text, overdue boolean)
  ) with ordinality as k (job_id, step, due, overdue, nth)
  join unstuck.job_steps s using (job_id, step)
  order by k.nth;
end $$;

revoke all on function unstuck_private.steps_reserve from public, anon, authenticated, service_role;
