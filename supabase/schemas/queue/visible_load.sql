-- Returns the rows of the view `provider_load` to those who may see the rows of all users
-- (`may_see`); nobody else gets a row.
create or replace function unstuck_private.visible_load()
returns table (
  provider text,
  enabled boolean,
  max_concurrent int,
  running int,
  waiting int,
  oldest_waiting_seconds int,
  circuit_open_until timestamptz,
  circuit_reason text,
  circuits_of_tools text[],
  learned_limit int,
  balance jsonb,
  balance_at timestamptz,
  balance_least jsonb
)
language sql
stable
security definer
set search_path = ''
as
$$
  select p.provider, p.enabled, p.max_concurrent, r.steps, w.steps,
    unstuck_private.seconds_between(w.since, clock_timestamp()),
    p.circuit_open_until,
    p.circuit_reason,
    array(
      select t.tool
      from unstuck.tools t
      where t.provider = p.provider and t.circuit_open_until is not null
      order by t.tool
    ),
    p.learned_limit,
    b.amounts,
    b.told_at,
    p.balance_least
  from unstuck.providers p
  left join unstuck_private.provider_balances b using (provider)
  cross join lateral (
    select count(*)::int as steps
    from unstuck.job_steps s
    where s.provider = p.provider and unstuck_private.holds_slot(s)
  ) r
  cross join lateral (
    select count(*)::int as steps,
      min(coalesce(j.queued_at, j.created_at)) as since
    from unstuck.job_steps s
    join unstuck.jobs j on j.id = s.job_id
    where s.provider = p.provider and s.status = 'queued'
  ) w
  where (select unstuck_private.may_see(null))
$$;

revoke all on function unstuck_private.visible_load from public, anon, authenticated, service_role;
grant execute on function unstuck_private.visible_load to authenticated, service_role;
