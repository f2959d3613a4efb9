-- One call of one RPC for one user, drawn by lot, as its caller makes it. Every lease is over as
-- soon as it is given, so that healers and workers are always after the same rows. A refusal by the
-- contract is an answer; any other error is raised. Returns the RPC's name.
create or replace function unstuck_private.intervals()
returns table (
  orphan interval,
  grace interval,
  sql_wait interval,
  lease interval,
  check_every interval
)
language sql
stable
as $$
  select
    interval '20 ms',
    interval '1 ms',
    interval '1 ms',
    interval '1 ms',
    interval '1 ms'
$$;

update tools
set enabled = true, exclusive_group = null, start_timeout = '1 ms', run_timeout = '2 s',
  queue_ttl = '5 s', attempt_max = 50;
update providers set max_concurrent = 20;

create function public.one_call(p_user uuid, p_admin uuid) returns text
language plpgsql
as $$
declare
  v_calls text[] := array[
    'job_enqueue_v1', 'job_enqueue_v1', 'job_enqueue_v1', 'step_claim_v1', 'step_claim_v1',
    'step_claim_v1', 'step_claim_v1', 'step_claim_v1', 'step_sent_v1', 'step_started_v1',
    'step_done_v1', 'step_complete_v1',
    'step_fail_v1', 'step_requeue_v1', 'step_heartbeat_v1', 'step_checked_v1', 'step_cancelled_v1',
    'step_get_v1', 'steps_due_v1', 'steps_waiting_v1', 'queue_check_v1', 'job_get_v1',
    'generation_get_v1', 'generation_retry_v1', 'generation_put_back_v1', 'generations_stale_v1',
    'user_active_v1', 'user_active_v1', 'user_active_v1', 'user_active_v1', 'user_heal_v1',
    'jobs_sweep_v1', 'cleanup_all_stale_ai_jobs',
    'job_cancel_v1', 'job_cancel_admin_v1', 'session_cancel_v1', 'job_requeue_v1',
    'session_leave_v1', 'session_stay_v1',
    'credit_grant_v1', 'consume_upscaler_credits', 'refund_upscaler_credits', 'webhook_record_v1',
    'job_enqueue_v2', 'job_enqueue_v2', 'step_done_v2', 'step_complete_v2', 'webhook_record_v2',
    'webhook_applied_v1', 'provider_alarm_v1', 'sweep_begin_v1', 'sweep_end_v1', 'user_erase_v1',
    'purchase_record_v1', 'purchase_record_v1', 'purchase_checkout_v1', 'order_quote_v1',
    'job_show_v1', 'jobs_list_v1', 'job_cancel_v2', 'job_cancel_v3', 'ends_due_v1',
    'user_on_behalf_v1',
    'health_v1', 'steps_get_v1', 'files_due_v1', 'files_choose_v1', 'files_deleted_v1',
    'health_v2', 'metrics_v1', 'alerts_due_v1', 'message_sent_v1', 'event_seen_v1',
    'provider_balance_v1', 'settings_compared_v1',
    'jobs_cancel_many_v1', 'jobs_requeue_many_v1', 'credit_grant_admin_v1', 'users_find_v1',
    'user_show_v1', 'tools_change_v1', 'providers_change_v1', 'prices_change_v1',
    'admin_log_read_v1', 'doctor_v1', 'deployment_alarm_v1'];
  v_call text := v_calls[1 + floor(random() * cardinality(v_calls))::int];
  v_provider text := (
    select p.provider
    from providers p
    order by random()
    limit 1);
  v_tool unstuck.tools;
  v_job unstuck.jobs;
  v_step unstuck.job_steps;
begin
  select * into v_tool from tools order by random() limit 1;
  select j.*
  into v_job
  from jobs j
  where j.user_id = p_user
    and (j.status in ('pending', 'queued', 'starting', 'running') or random() < 0.02)
  order by random()
  limit 1;
  select * into v_step from job_steps s where s.job_id = v_job.id order by random() limit 1;
  case v_call
    when 'job_enqueue_v1' then
      perform job_enqueue_v1(p_user, gen_random_uuid(), v_tool.tool, 'session',
        '{"selectedCards": [0, 1]}', 'hash',
        case
          when v_tool.priced_per = 'step' then '[{"a": 1}, {"a": 2}]'
          else '[{"a": 1}]'
        end::jsonb);
    when 'step_claim_v1' then perform step_claim_v1(v_provider, 3);
    when 'step_sent_v1' then perform step_sent_v1(v_job.id, v_step.step, v_step.run);
    when 'step_started_v1' then
      perform step_started_v1(
        v_job.id, v_step.step, v_step.run, v_job.id || '/' || v_step.run
      );
    when 'step_done_v1' then
      perform step_done_v1(
        v_job.id, v_step.step, v_step.run, v_job.id || '/' || v_step.run, '{}'
      );
    when 'step_complete_v1' then
      perform step_complete_v1(v_job.id, v_step.step, v_step.run, '{}', 'u');
    when 'step_fail_v1' then
      perform step_fail_v1(v_job.id, v_step.step, v_step.run, 'PROVIDER_FAILED', 'no.');
    when 'step_requeue_v1' then
      perform step_requeue_v1(v_job.id, v_step.step, v_step.run, 'transient', 0,
        'PROVIDER_FAILED', 'busy.');
    when 'step_heartbeat_v1' then
      perform step_heartbeat_v1(v_job.id, v_step.step, v_step.run);
    when 'step_checked_v1' then
      perform step_checked_v1(v_job.id, v_step.step, v_step.run, 'running');
    when 'step_cancelled_v1' then perform step_cancelled_v1(v_job.id, v_step.step, 'task');
    when 'step_get_v1' then perform step_get_v1(v_job.id, v_step.step);
    when 'steps_due_v1' then perform steps_due_v1(v_provider, 20, random() < 0.5);
    when 'steps_waiting_v1' then perform steps_waiting_v1(v_provider);
    when 'queue_check_v1' then perform queue_check_v1(v_provider);
    when 'order_quote_v1' then perform order_quote_v1(v_job.tool, '{}', 1, p_user);
    when 'job_get_v1' then perform job_get_v1(v_job.id, p_user);
    when 'generation_get_v1' then perform generation_get_v1(p_user, v_job.tool, v_job.id);
    when 'generation_retry_v1' then perform generation_retry_v1(v_job.id, v_job.tool);
    when 'generation_put_back_v1' then perform generation_put_back_v1(v_job.id, v_step.run);
    when 'generations_stale_v1' then perform generations_stale_v1(20);
    when 'user_active_v1' then perform user_active_v1(p_user);
    when 'user_heal_v1' then perform user_heal_v1(p_user);
    when 'jobs_sweep_v1' then perform jobs_sweep_v1(0, 1000);
    when 'cleanup_all_stale_ai_jobs' then perform cleanup_all_stale_ai_jobs();
    when 'job_cancel_v1' then
      perform job_cancel_v1(p_user, (
        select t.table_name from tools t where t.tool = v_job.tool), v_job.id);
    when 'job_cancel_admin_v1' then
      perform job_cancel_admin_v1(p_admin, (
        select t.table_name from tools t where t.tool = v_job.tool), v_job.id, 'test');
    when 'session_cancel_v1' then perform session_cancel_v1(p_user, 'session', '{}');
    when 'session_leave_v1' then perform session_leave_v1(p_user, 'session', 30);
    when 'session_stay_v1' then perform session_stay_v1(p_user, 'session');
    when 'job_requeue_v1' then
      perform job_requeue_v1(p_admin, (
        select t.table_name from tools t where t.tool = v_job.tool), v_job.id, false,
        gen_random_uuid());
    when 'credit_grant_v1' then
      perform credit_grant_v1(p_user, 1000, 'bought', gen_random_uuid()::text);
    when 'consume_upscaler_credits' then
      perform consume_upscaler_credits(p_user, 1, 'spent');
    when 'refund_upscaler_credits' then perform refund_upscaler_credits(p_user, 1, 'given');
    when 'webhook_record_v1' then
      perform webhook_record_v1('runninghub', coalesce(v_job.id, gen_random_uuid()),
        coalesce(v_step.step, 1), coalesce(v_step.run, 1), 'task', gen_random_uuid()::text, '{}');
    when 'job_enqueue_v2' then
      perform job_enqueue_v2(p_user, gen_random_uuid(), v_tool.tool, 'session',
        '{"selectedCards": [0, 1]}', 'hash',
        case
          when v_tool.priced_per = 'step' then '[{"a": 1}, {"a": 2}]'
          else '[{"a": 1}]'
        end::jsonb,
        true);
    when 'step_done_v2' then
      perform step_done_v2(
        v_job.id, v_step.step, v_step.run, v_job.id || '/' || v_step.run, '{}'
      );
    when 'step_complete_v2' then
      perform step_complete_v2(v_job.id, v_step.step, v_step.run, '{}', 'u');
    when 'webhook_record_v2' then
      perform webhook_record_v2('runninghub', coalesce(v_job.id, gen_random_uuid()),
        coalesce(v_step.step, 1), coalesce(v_step.run, 1), 'task', gen_random_uuid()::text, '{}');
    when 'webhook_applied_v1' then
      perform webhook_applied_v1((
        select w.id from webhook_inbox w where w.job_id = v_job.id order by random() limit 1));
    when 'provider_alarm_v1' then
      -- Its circuit closes at once, so that the others go on working.
      perform provider_alarm_v1(v_provider, v_tool.tool,
        case when random() < 0.2 then 'account' else 'other' end, 'refused', 'a job');
      update providers set account_faults = 0, circuit_open_until = null
      where provider = v_provider;
    when 'sweep_begin_v1' then perform sweep_begin_v1('http');
    when 'sweep_end_v1' then perform sweep_end_v1((select max(s.id) from sweeps s), 0, 0, 0);
    when 'purchase_record_v1' then
      perform purchase_record_v1('shop', jsonb_build_object(
        'keys', array['pi_' || floor(4 * random()), 'in_' || floor(4 * random())],
        'paid', random() < 0.5, 'userId', p_user, 'credits', 100, 'amount', 1000,
        'refundTotal', jsonb_build_object(
          'amount', floor(1000 * random()), 'at', floor(1000 * random()))));
    when 'purchase_checkout_v1' then perform purchase_checkout_v1(p_user, 'small');
    when 'user_erase_v1' then
      -- Seldom: afterwards there is nothing to work on.
      if random() < 0.1 then
        perform user_erase_v1(p_admin, p_user, 'test');
        perform credit_grant_v1(p_user, 1000000, 'bought', gen_random_uuid()::text);
      end if;
    when 'job_show_v1' then perform job_show_v1(p_user, v_job.id);
    when 'jobs_list_v1' then perform jobs_list_v1(p_user, null, null, 5);
    when 'job_cancel_v2' then perform job_cancel_v2(p_user, v_job.id);
    when 'job_cancel_v3' then perform job_cancel_v3(p_user, v_job.id);
    when 'ends_due_v1' then perform ends_due_v1(2);
    when 'user_on_behalf_v1' then perform user_on_behalf_v1(p_user);
    when 'health_v1' then perform health_v1();
    when 'health_v2' then perform health_v2();
    when 'metrics_v1' then perform metrics_v1();
    when 'alerts_due_v1' then perform alerts_due_v1();
    when 'provider_balance_v1' then perform provider_balance_v1(v_provider, '{"coins": 5}');
    when 'settings_compared_v1' then
      perform settings_compared_v1(
        case when random() < 0.5 then array['WEBHOOK_SECRET'] else '{}' end);
    when 'message_sent_v1' then
      perform message_sent_v1((select m.id from messages_owed m limit 1), random() < 0.5);
    when 'event_seen_v1' then perform event_seen_v1('generate-website', 'queue');
    when 'jobs_cancel_many_v1' then
      perform jobs_cancel_many_v1(p_admin, jsonb_build_object('tool', v_tool.tool), 2, 'test');
    when 'jobs_requeue_many_v1' then
      perform jobs_requeue_many_v1(p_admin, jsonb_build_object('tool', v_tool.tool), 2, 'test');
    when 'credit_grant_admin_v1' then
      perform credit_grant_admin_v1(p_admin, p_user, 5, 'test', gen_random_uuid()::text);
    when 'users_find_v1' then perform users_find_v1(p_admin, left(v_job.id::text, 8));
    when 'user_show_v1' then perform user_show_v1(p_admin, p_user);
    when 'tools_change_v1' then
      perform tools_change_v1(p_admin, jsonb_build_object('tool', v_tool.tool, 'enabled', true));
    when 'providers_change_v1' then
      perform providers_change_v1(
        p_admin, jsonb_build_object('provider', v_provider, 'enabled', true));
    when 'prices_change_v1' then perform prices_change_v1(p_admin);
    when 'admin_log_read_v1' then perform admin_log_read_v1(p_admin);
    when 'doctor_v1' then perform doctor_v1();
    when 'deployment_alarm_v1' then perform deployment_alarm_v1();
    when 'steps_get_v1' then perform steps_get_v1(v_job.id);
    when 'files_due_v1' then perform files_due_v1();
    when 'files_choose_v1' then
      perform files_choose_v1('erased', 'results',
        jsonb_build_array(jsonb_build_object('name', p_user || '/' || v_job.id || '/a.png')),
        p_user);
    when 'files_deleted_v1' then perform files_deleted_v1('erased', 0, 1, p_user);
  end case;
  return v_call;
exception when others then
  if sqlstate not like 'PT%' then
    raise;
  end if;
  return v_call;
end $$;
