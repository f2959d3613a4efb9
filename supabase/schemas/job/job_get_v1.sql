create or replace function unstuck.job_get_v1(
  p_job_id uuid,
  p_user_id uuid default null,
  p_tool text default null,
  p_table text default null
)
returns table (
  job_id uuid,
  tool text,
  table_name text,
  status text,
  "position" int,
  eta_seconds int,
  task_id text,
  output_url text,
  error_code text,
  error_message text,
  credits_charged bigint,
  credits_refunded bigint,
  balance bigint,
  total_steps int,
  current_step int,
  tasks jsonb
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
declare
  v_job unstuck.jobs;
begin
  perform unstuck_private.refuse_other_deployment();
  select j.*
  into v_job
  from unstuck.jobs j
  where j.id = p_job_id;
  if p_table is not null then
    perform unstuck_private.refuse_other_table(v_job, p_table);
  end if;
  if v_job.id is null
    or (p_user_id is not null and v_job.user_id <> p_user_id)
    or (p_tool is not null and v_job.tool <> p_tool)
  then
    perform unstuck_private.refuse(404, 'not_found');
  end if;
  -- Heal first, so that a job that ran out of time is not shown as live.
  if unstuck_private.is_live(v_job.status) and v_job.deadline_at <= clock_timestamp() then
    perform unstuck.user_heal_v1(v_job.user_id);
  end if;
  return query
  select
    j.id,
    j.tool,
    t.table_name,
    j.status,
    e."position",
    e.eta_seconds,
    e.task_id,
    j.output_url,
    coalesce(j.error_code, w.code),
    coalesce(j.error_message, w.code || ': the provider is full; the job keeps its turn.'),
    j.credits_charged,
    j.credits_refunded,
    e.balance,
    j.total_steps,
    j.current_step,
    case
      when t.step_order = 'parallel' then (
        select jsonb_agg(
          jsonb_build_object(
            'card', j.input -> 'selectedCards' -> (s.step - 1),
            'status', s.status,
            'retrying',
            s.status = 'queued' and coalesce(s.not_before > clock_timestamp(), false),
            'output_url',
            case
              when s.status = 'completed'
                and (j.refund_rule = 'per_step' or j.status = 'completed')
              then s.output_url
            end,
            'error_message', s.error_message
          )
          order by s.step
        )
        from unstuck.job_steps s
        where s.job_id = j.id
      )
    end
  from unstuck.jobs j
  join unstuck.tools t using (tool)
  cross join unstuck_private.job_state(j.id) e
  cross join lateral (
    select case when unstuck_private.waits_for_capacity(j) then 'PROVIDER_BUSY' end as code
    -- Not inlined: it is asked once.
    offset 0
  ) w
  where j.id = p_job_id;
end $$;

comment on function unstuck.job_get_v1 is $c$
Caller: the status endpoints, for the verified user (p_user_id null: for the service), one tool
(p_tool null: any) and one table (p_table null: any).

Effect: heals the user's jobs when this one is past its deadline, then answers with the job's
present state; while it waits for a provider that refuses more, error_code is PROVIDER_BUSY. tasks:
the parallel steps, each with its output once the owner may see it.

Refuses: bad_request (no tool has the table); not_found, also for a job of another user, tool or
table.

Replay: reads again.
$c$;

revoke all on function unstuck.job_get_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_get_v1 to service_role;
