-- The answers of `jobs_due` for these jobs, which are locked, as arrays side by side. A job on
-- which `jobs_due` fails is found by halves and quarantined.
create or replace function unstuck_private.jobs_due_each(
  p_now timestamptz,
  p_ids uuid[],
  out ids uuid[],
  out statuses text[],
  out codes text[],
  out messages text[]
)
language plpgsql
set search_path = ''
as
$$
declare
  v_half int := coalesce(cardinality(p_ids), 0) / 2;
  v_one record;
  v_other record;
begin
  if coalesce(cardinality(p_ids), 0) = 0 then
    return;
  end if;
  begin
    select array_agg(d.job_id), array_agg(d.status), array_agg(d.code), array_agg(d.message)
    into ids, statuses, codes, messages
    from unstuck_private.jobs_due(p_now, p_ids) d;
    return;
  exception when others then
    if cardinality(p_ids) = 1 then
      perform unstuck_private.jobs_quarantine(p_ids, sqlerrm);
      return;
    end if;
  end;
  v_one := unstuck_private.jobs_due_each(p_now, p_ids[:v_half]);
  v_other := unstuck_private.jobs_due_each(p_now, p_ids[v_half + 1:]);
  ids := v_one.ids || v_other.ids;
  statuses := v_one.statuses || v_other.statuses;
  codes := v_one.codes || v_other.codes;
  messages := v_one.messages || v_other.messages;
end $$;

revoke all on function unstuck_private.jobs_due_each from public, anon, authenticated, service_role;
