-- How long each kind is kept at first. A row that is there already keeps the operator's own value.
insert into unstuck.retention (kind, keep)
values
  -- Transitions, once their job is final.
  ('job_events', '90 days'),
  -- Webhooks, once their job is final.
  ('webhook_inbox', '7 days'),
  -- One row per pass of a healer; the newest finished one always stays.
  ('sweeps', '30 days'),
  -- Orders that users cancelled before they arrived.
  ('cancelled_requests', '1 day'),
  -- Pages, once they counted as left.
  ('sessions', '1 day'),
  -- Inputs of final jobs: prompts, file names, provider requests.
  ('inputs', '90 days'),
  -- Unpaid rows that older clients inserted and never ordered.
  ('orphans', '1 day'),
  -- What stays of an erased user's jobs until the provider was sent its cancel.
  ('erased_jobs', '1 day'),
  -- pg_cron's own rows about our schedule.
  ('cron_runs', '7 days'),
  -- What providers refused that only the operator can mend.
  ('provider_alarms', '90 days'),
  -- Messages that their receivers took.
  ('messages', '30 days'),
  -- Rows of the app that were written in the end.
  ('projection_errors', '30 days'),
  -- Files, which the Storage API deletes; SQL must not.
  ('uploads', '7 days'),
  ('results', null),
  -- Uploads that no job names. Others' files may lie in a bucket that was there before us, so they
  -- are kept unless a migration, or the operator, knows better.
  ('abandoned_uploads', null)
on conflict do nothing;
