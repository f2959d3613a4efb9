-- Returns the present state of a job in the columns of a reply to a repeated order (`replayed` is
-- true). No row where there is no such job.
create or replace function unstuck_private.job_state(p_job_id uuid)
returns table (
  job_id uuid,
  status text,
  replayed boolean,
  credits_charged bigint,
  balance bigint,
  "position" int,
  eta_seconds int,
  task_id text,
  output_url text,
  error_code text,
  error_message text,
  credits_refunded bigint
)
language plpgsql
stable
set search_path = ''
as
$$
begin
  return query
  select
    j.id,
    j.status,
    true,
    j.credits_charged,
    unstuck_private.balance_shown(j.user_id, j.tool),
    p."position",
    p.eta_seconds,
    (
      select s.provider_task_id
      from unstuck.job_steps s
      where s.job_id = j.id
        and s.provider_task_id is not null
      order by s.step desc
      limit 1
    ),
    j.output_url,
    j.error_code,
    j.error_message,
    j.credits_refunded
  from unstuck.jobs j
  left join unstuck_private.job_position(p_job_id) p on true
  where j.id = p_job_id;
end $$;

revoke all on function unstuck_private.job_state from public, anon, authenticated, service_role;
