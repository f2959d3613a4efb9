-- Returns what `jobs_due` returns for these jobs, which are locked, as arrays of equal length. A
-- job on which `jobs_due` fails is found by halves and quarantined.
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
  v_first record;
  v_second record;
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
  v_first := unstuck_private.jobs_due_each(p_now, p_ids[:v_half]);
  v_second := unstuck_private.jobs_due_each(p_now, p_ids[v_half + 1:]);
  ids := v_first.ids || v_second.ids;
  statuses := v_first.statuses || v_second.statuses;
  codes := v_first.codes || v_second.codes;
  messages := v_first.messages || v_second.messages;
end $$;

revoke all on function unstuck_private.jobs_due_each from public, anon, authenticated, service_role;
