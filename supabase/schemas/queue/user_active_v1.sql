create or replace function unstuck.user_active_v1(p_user_id uuid)
returns table (
  has_active_job boolean,
  active_tool text,
  active_table text,
  active_job_id uuid,
  active_status text,
  "position" int
)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
-- However few rows the statistics know, they are read by their indexes.
set enable_seqscan = off
set jit = off
as
$$
#variable_conflict use_column
begin
  perform unstuck_private.refuse_other_deployment();
  -- Both lock the account first and wait for no job.
  perform unstuck.user_heal_v1(p_user_id);
  perform unstuck_private.orphans_cancel(p_user_id);
  return query
  select true, j.tool, t.table_name, j.id, j.status,
    case when j.status = 'queued' then (
      select p."position"
      from unstuck_private.job_position(j.id) p
    ) end
  from unstuck.jobs j
  join unstuck.tools t using (tool)
  where j.user_id = p_user_id
    and t.exclusive_group is not null
    and j.status in ('queued', 'starting', 'running')
    and j.quarantined_at is null
  -- A queued row that may be an orphan comes last, so that it hides no paid job.
  order by
    j.status = 'queued',
    j.request_hash is null and j.credits_charged = 0,
    j.created_at
  limit 1;
  if not found then
    return query
    select false, null::text, null::text, null::uuid, null::text, null::int;
  end if;
end $$;

comment on function unstuck.user_active_v1 is $c$
Caller: check-user-active, for the verified user.

Effect: heals the user's jobs that ran out of time and cancels the user's orphans; then one row says
whether the user has a live job in an exclusive group, and which.

Refuses: nothing.

Replay: reads again.
$c$;

revoke all on function unstuck.user_active_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.user_active_v1 to service_role;
