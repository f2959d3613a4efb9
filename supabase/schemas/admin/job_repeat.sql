-- Writes the new job `p_new_job_id` with the user, the input and the steps of the final job
-- `p_job`, for `job_retry`. The caller has locked the old job and the user's account.
--
-- The new job is free unless `p_charge`. Then it costs what `price_paid` says of the old one, and
-- is refused like an order that the balance does not cover, or while a debt is open; a free one
-- never is. The wallet gets the job's input together with its own receipt of the old job, which
-- says who paid.
--
-- Refuses: bad_request (a job without steps), already_final (retention has emptied an input),
-- active_job_exists, idempotency_conflict (the new id is taken).
create or replace function unstuck_private.job_repeat(
  p_job unstuck.jobs,
  p_tool unstuck.tools,
  p_charge boolean,
  p_new_job_id uuid
)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_steps jsonb;
  v_has_lost_input boolean;
  v_price bigint := 0;
  v_balance bigint := 0;
begin
  select jsonb_agg(s.input order by s.step), coalesce(bool_or(s.input = '{}'), false)
  into v_steps, v_has_lost_input
  from unstuck.job_steps s
  where s.job_id = p_job.id;
  if v_steps is null then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  -- Retention empties old inputs: then there is nothing to repeat.
  if v_has_lost_input then
    perform unstuck_private.refuse(
      409, 'already_final',
      jsonb_build_object(
        'status', p_job.status,
        'refundedCredits', p_job.credits_refunded,
        'reason', 'its input is kept no longer'));
  end if;
  perform unstuck_private.account_lock(p_job.user_id);
  perform unstuck_private.refuse_second_live_job(p_job.user_id, p_new_job_id, p_tool);
  -- A row that others inserted may have the key of this user's jobs.
  if exists (
    select
    from unstuck.jobs j
    where j.exclusive_key = p_tool.exclusive_group || ':' || p_job.user_id
      and j.status in ('queued', 'starting', 'running')
  ) then
    perform unstuck_private.refuse(409, 'active_job_exists');
  end if;
  if p_charge then
    v_price := unstuck_private.price_paid(p_job);
    perform unstuck_private.wallet_price(
      p_job.user_id, p_tool.tool,
      p_job.input || coalesce(unstuck_private.job_receipt(p_job.id), '{}'), v_price);
    v_balance := unstuck_private.refuse_over_balance(p_job.user_id, p_tool.tool, v_price);
  end if;
  if exists (select from unstuck.jobs j where j.id = p_new_job_id) then
    perform unstuck_private.refuse(409, 'idempotency_conflict');
  end if;
  perform unstuck_private.job_write(
    p_job.user_id, p_new_job_id, p_tool, p_job.session_id, p_job.input,
    coalesce(p_job.request_hash, 'retry'), v_steps, v_price, v_balance, p_job.id);
end $$;

revoke all on function unstuck_private.job_repeat from public, anon, authenticated, service_role;
