-- Locks up to `p_limit` steps with a cancel debt at a provider and returns their keys, for
-- `steps_reserve`. A step is returned every 15 seconds at most, those that were queried or
-- cancelled longest ago first. What another transaction has locked is skipped.
create or replace function unstuck_private.steps_with_cancel_debt(
  p_provider text,
  p_now timestamptz,
  p_limit int
)
returns jsonb
language plpgsql
set search_path = ''
as
$$
begin
  return (
    select jsonb_agg(to_jsonb(m))
    from (
      select s.job_id, s.step, 'cancel' as due, false as overdue
      from unstuck.job_steps s
      where s.provider = p_provider
        and s.provider_cancel_due <> '[]'
        and coalesce(s.checked_at, '-infinity') <= p_now - interval '15 seconds'
      order by s.checked_at nulls first, s.job_id
      limit p_limit
      for update of s skip locked
    ) m
  );
end $$;

revoke all on function unstuck_private.steps_with_cancel_debt
from public, anon, authenticated, service_role;
