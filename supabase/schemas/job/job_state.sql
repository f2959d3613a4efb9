-- The present state of a job, as the reply to the request that named it. Its position costs a pass
-- over the provider's whole queue, so a new job, which is about to be claimed, is answered without
-- one.
create or replace function unstuck_private.job_state(
  p_job_id uuid,
  p_replayed boolean,
  p_with_position boolean
)
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
declare
  v_provider text;
  v_position int;
  v_eta int;
begin
  if p_with_position then
    select t.provider
    into v_provider
    from unstuck.jobs j
    join unstuck.tools t using (tool)
    where j.id = p_job_id
      and j.status = 'queued';
    if found then
      select p."position", p.eta_seconds
      into v_position, v_eta
      from unstuck_private.provider_positions(v_provider) p
      where p.job_id = p_job_id;
    end if;
  end if;
  return query
  select
    j.id,
    j.status,
    p_replayed,
    j.credits_charged,
    coalesce(a.balance, 0),
    v_position,
    v_eta,
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
  left join unstuck.credit_accounts a using (user_id)
  where j.id = p_job_id;
end $$;

revoke all on function unstuck_private.job_state from public, anon, authenticated, service_role;
