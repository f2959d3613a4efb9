insert into unstuck.retention (kind, keep)
values
  -- Transitions, once their job is over.
  ('job_events', '90 days'),
  -- What providers called to say, once it is dealt with or its job is over.
  ('webhook_inbox', '7 days'),
  -- A row per run of a healer; the newest finished one always stays.
  ('sweeps', '30 days'),
  -- What users cancelled before it arrived.
  ('cancelled_requests', '1 day'),
  -- What final jobs were asked for: prompts, file names, provider requests.
  ('inputs', '90 days'),
  -- Unpaid rows of older clients that were never ordered.
  ('orphans', '1 day'),
  -- When each user was last served; it counts only beside others who wait.
  ('queue_turns', '1 day'),
  -- What stays of an erased user's jobs while a provider may be told to stop.
  ('erased_jobs', '1 day'),
  -- pg_cron's own record of our job.
  ('cron_runs', '7 days'),
  -- Files; the Storage API deletes them, not SQL.
  ('uploads', '7 days'),
  ('results', null)
on conflict do nothing;
