create or replace function unstuck.generation_get_v1(p_user_id uuid, p_tool text, p_job_id uuid)
returns table (
  job_id uuid,
  status text,
  error_message text,
  retries int,
  credits_refunded bigint,
  output_url text
)
language sql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
  select unstuck_private.refuse_other_deployment();
  select g.job_id, g.status, g.error_message, j.retries, g.credits_refunded,
    case when g.status = 'completed' then g.output_url end
  from unstuck.job_get_v1(p_job_id, p_user_id, p_tool) g
  join unstuck.jobs j on j.id = g.job_id
$$;

comment on function unstuck.generation_get_v1 is $c$
Caller: the GET of the website functions, for the verified user.

Effect: like job_get_v1, with retries and, once the website is completed, the address of its files.

Refuses: not_found.

Replay: reads again.
$c$;

revoke all on function unstuck.generation_get_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.generation_get_v1 to service_role;
