-- Returns the steps of the jobs that ended after `p_from` and up to `p_to`. `class` is how a step
-- ended: `completed`, `cancelled`, or the code of its failure in lower case. `is_failure`: the
-- provider is to blame, unlike for refused content or a wait in our own queue.
create or replace function unstuck_private.steps_ended(p_from timestamptz, p_to timestamptz)
returns table (
  provider text,
  class text,
  is_failure boolean,
  attempts int,
  ended_at timestamptz,
  tool text
)
language plpgsql
stable
set search_path = ''
as
$$
#variable_conflict use_column
begin
  return query
  select s.provider,
    case s.status
      when 'failed' then lower(coalesce(s.error_code, j.error_code, 'unknown'))
      else s.status
    end,
    s.status = 'failed'
      and coalesce(s.error_code, j.error_code, '') in (
        'TIMEOUT', 'PROVIDER_REJECTED', 'PROVIDER_FAILED', 'DELIVERY_FAILED'
      ),
    s.attempts,
    s.completed_at,
    j.tool
  from unstuck_private.jobs_ended(p_from, p_to) j
  join unstuck.job_steps s on s.job_id = j.id;
end $$;

revoke all on function unstuck_private.steps_ended from public, anon, authenticated, service_role;
