-- The floor of a life: the rows that its six RPCs write, written by functions that know no rule.
-- They check, lock and derive nothing, and no trigger runs for them.

create function plain_order(p_user_id uuid, p_job_id uuid, p_task text) returns void
language plpgsql as $$
declare
  v_now timestamptz := clock_timestamp();
begin
  update credit_accounts
  set balance = balance - 60
  where user_id = p_user_id;
  insert into jobs (
    id, tool, user_id, session_id, status, credits_charged, refund_rule, exclusive_key, input,
    request_hash, queued_at, created_at, deadline_at, expires_at
  )
  values (
    p_job_id, 'runninghub-upscaler', p_user_id, 'page', 'starting', 60, 'all',
    'runninghub:' || p_user_id,
    '{"imageUrl": "https://files.invalid/uploads/in.png", "resolution": 2048}',
    'a hash of sixty-four letters, as the order of a picture has it..',
    v_now, v_now, v_now + interval '10 min', v_now + interval '20 min'
  );
  insert into credit_entries (user_id, job_id, kind, amount, balance_after, reason)
  values (p_user_id, p_job_id, 'debit', -60, 1000, 'runninghub-upscaler');
  insert into job_steps (
    job_id, step, status, provider, run, share, input, claimed_at, lease_until, deadline_at,
    line_tool
  )
  values (
    p_job_id, 1, 'starting', 'runninghub', 1, 60,
    '{"app": "standard", "nodes": [{"nodeId": "2", "fieldName": "image", "fieldValue":
      "https://files.invalid/uploads/in.png"}], "result": {"kind": "image"}}',
    v_now, v_now + interval '25 s', v_now + interval '10 min', 'runninghub-upscaler'
  );
  insert into job_events (job_id, step, event, from_status, to_status, actor)
  values
    (p_job_id, null, 'job_created', null, 'queued', 'user'),
    (p_job_id, 1, 'step_starting', 'queued', 'starting', 'user'),
    (p_job_id, null, 'job_starting', 'queued', 'starting', 'user');
  insert into unstuck_private.unaudited (job_id)
  values (p_job_id);
end $$;

create function plain_sent(p_user_id uuid, p_job_id uuid, p_task text) returns void
language plpgsql as $$
begin
  update job_steps
  set sent_at = clock_timestamp(), attempts = 1, deadline_at = clock_timestamp()
  where job_id = p_job_id and step = 1;
  update jobs
  set deadline_at = clock_timestamp()
  where id = p_job_id;
end $$;

create function plain_started(p_user_id uuid, p_job_id uuid, p_task text) returns void
language plpgsql as $$
begin
  update job_steps
  set status = 'running', provider_task_id = p_task, started_at = clock_timestamp()
  where job_id = p_job_id and step = 1;
  update jobs
  set status = 'running', started_at = clock_timestamp()
  where id = p_job_id;
  insert into job_events (job_id, step, event, from_status, to_status, actor)
  values
    (p_job_id, 1, 'step_running', 'starting', 'running', 'worker'),
    (p_job_id, null, 'job_running', 'starting', 'running', 'worker');
end $$;

create function plain_webhook(p_user_id uuid, p_job_id uuid, p_task text) returns void
language sql as $$
  insert into webhook_inbox (provider, job_id, step, run, task_id, dedup_key, body)
  values (
    'runninghub', p_job_id, 1, 1, p_task, p_task,
    '{"event": "TASK_END", "eventData": {"status": "SUCCESS", "results": [{"url":
      "https://results.invalid/0123456789abcdef", "outputType": "png"}]}}'
  );
$$;

create function plain_done(p_user_id uuid, p_job_id uuid, p_task text) returns void
language plpgsql as $$
begin
  update job_steps
  set provider_done_at = clock_timestamp(),
    output = '{"files": [{"url": "https://results.invalid/0123456789abcdef"}]}'
  where job_id = p_job_id and step = 1;
  update jobs
  set deadline_at = clock_timestamp()
  where id = p_job_id;
end $$;

create function plain_complete(p_user_id uuid, p_job_id uuid, p_task text) returns void
language plpgsql as $$
begin
  update job_steps
  set status = 'completed', completed_at = clock_timestamp(),
    output_url = 'https://files.invalid/results/0123456789abcdef.png'
  where job_id = p_job_id and step = 1;
  update jobs
  set status = 'completed', completed_at = clock_timestamp(),
    output_url = 'https://files.invalid/results/0123456789abcdef.png'
  where id = p_job_id;
  insert into job_events (job_id, step, event, from_status, to_status, actor)
  values
    (p_job_id, 1, 'step_completed', 'running', 'completed', 'worker'),
    (p_job_id, null, 'job_completed', 'running', 'completed', 'worker');
  update webhook_inbox
  set applied_at = clock_timestamp()
  where job_id = p_job_id and step = 1;
  insert into unstuck_private.unaudited (job_id)
  values (p_job_id);
end $$;
