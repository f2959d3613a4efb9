-- Returns the rows of the view `provider_errors` to those who may see the rows of all users
-- (`may_see`); nobody else gets a row.
create or replace function unstuck_private.visible_errors()
returns table (
  provider text,
  error_code text,
  failures bigint,
  last_at timestamptz,
  last_job_id uuid,
  last_message text
)
language sql
stable
security definer
set search_path = ''
as
$$
  select distinct on (s.provider, s.error_code)
    s.provider,
    s.error_code,
    count(*) over (partition by s.provider, s.error_code),
    s.completed_at,
    s.job_id,
    s.error_message
  from unstuck.job_steps s
  where (select unstuck_private.may_see(null))
    and s.status = 'failed'
    and coalesce(s.provider_done_at, s.completed_at) > clock_timestamp() - interval '1 day'
  order by s.provider, s.error_code, s.completed_at desc
$$;

revoke all on function unstuck_private.visible_errors
from public, anon, authenticated, service_role;
grant execute on function unstuck_private.visible_errors to authenticated, service_role;
