-- Made by `cargo xtask dump-schema` from supabase/migrations; a test compares it. Never edited.

-- schemas
create schema public;
create schema unstuck;
create schema unstuck_private;

-- types
create type unstuck.app_role as enum ('admin', 'moderator', 'user');

-- domains
create domain public.app_role as unstuck.app_role;

-- tables
create table unstuck.admin_log (
  id bigint not null generated always as identity,
  at timestamp with time zone not null default clock_timestamp(),
  actor uuid,
  act text not null,
  subject text,
  "from" jsonb,
  "to" jsonb,
  reason text
);
create table unstuck.cancelled_requests (
  user_id uuid not null,
  job_id uuid not null,
  at timestamp with time zone not null default clock_timestamp()
);
create table unstuck.credit_accounts (
  user_id uuid not null,
  balance bigint not null default 0
);
create table unstuck.credit_debts (
  id uuid not null default gen_random_uuid(),
  user_id uuid not null,
  purchase_id uuid,
  amount bigint not null,
  settled bigint not null default 0,
  created_at timestamp with time zone not null default clock_timestamp()
);
create table unstuck.credit_entries (
  id bigint not null generated always as identity,
  user_id uuid not null,
  job_id uuid,
  step integer,
  kind text not null,
  amount bigint not null,
  balance_after bigint not null,
  reason text,
  idempotency_key text,
  created_at timestamp with time zone not null default clock_timestamp(),
  actor text default COALESCE(NULLIF(current_setting('unstuck.actor'::text, true), ''::text), (SESSION_USER)::text),
  receipt jsonb,
  purchase_id uuid
);
create table unstuck.credit_packs (
  pack text not null,
  credits bigint not null,
  price_id text,
  recurring boolean not null default false,
  enabled boolean not null default true,
  "position" integer not null default 0,
  words jsonb not null default '{}'::jsonb
);
create table unstuck.erasures (
  user_id uuid not null,
  at timestamp with time zone not null default clock_timestamp(),
  files_left bigint
);
create table unstuck.host_requests (
  job_id uuid not null,
  host_table regclass not null,
  by_user boolean not null,
  at timestamp with time zone not null default clock_timestamp(),
  error text,
  host_user uuid,
  id bigint not null generated always as identity
);
create table unstuck.job_events (
  id bigint not null generated always as identity,
  job_id uuid not null,
  step integer,
  run bigint,
  at timestamp with time zone not null default clock_timestamp(),
  event text not null,
  from_status text,
  to_status text,
  actor text,
  detail jsonb
);
create table unstuck.job_steps (
  job_id uuid not null,
  step integer not null,
  status text not null default 'queued'::text,
  provider text not null,
  provider_task_id text,
  run bigint not null default 0,
  attempts integer not null default 0,
  rescues integer not null default 0,
  share bigint not null default 0,
  not_before timestamp with time zone,
  claimed_at timestamp with time zone,
  sent_at timestamp with time zone,
  started_at timestamp with time zone,
  lease_until timestamp with time zone,
  deadline_at timestamp with time zone not null,
  checked_at timestamp with time zone,
  provider_done_at timestamp with time zone,
  provider_cancel_due jsonb not null default '[]'::jsonb,
  input jsonb not null default '{}'::jsonb,
  output jsonb,
  output_url text,
  error_code text,
  error_message text,
  completed_at timestamp with time zone,
  line_user_id uuid,
  line_tool text,
  line_since timestamp with time zone,
  turn_at timestamp with time zone
);
create table unstuck.jobs (
  id uuid not null default gen_random_uuid(),
  tool text not null,
  user_id uuid not null,
  session_id text,
  status text not null default 'pending'::text,
  credits_charged bigint not null default 0,
  credits_refunded bigint not null default 0,
  refund_rule text not null,
  exclusive_key text,
  input jsonb not null default '{}'::jsonb,
  output jsonb,
  output_url text,
  error_code text,
  error_message text,
  total_steps integer not null default 1,
  current_step integer not null default 0,
  retries integer not null default 0,
  waited_in_queue boolean not null default false,
  retry_of uuid,
  request_hash text,
  created_at timestamp with time zone not null default clock_timestamp(),
  queued_at timestamp with time zone,
  started_at timestamp with time zone,
  updated_at timestamp with time zone not null default clock_timestamp(),
  deadline_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  completed_at timestamp with time zone,
  quarantined_at timestamp with time zone,
  request_id text
);
create table unstuck.messages_owed (
  id uuid not null default gen_random_uuid(),
  kind text not null,
  "to" text not null,
  body jsonb not null,
  due_at timestamp with time zone not null default clock_timestamp(),
  tries integer not null default 0,
  sent_at timestamp with time zone,
  created_at timestamp with time zone not null default clock_timestamp(),
  given_up_at timestamp with time zone,
  user_id uuid
);
create table unstuck.projection_errors (
  id bigint not null generated always as identity,
  tool text not null,
  host_table regclass not null,
  job_id uuid not null,
  step integer,
  at timestamp with time zone not null default clock_timestamp(),
  error text not null,
  tries integer not null default 1,
  mended_at timestamp with time zone
);
create table unstuck.projections (
  tool text not null,
  host_table regclass not null,
  level text not null,
  columns jsonb not null,
  statuses jsonb not null,
  settings jsonb not null default '{}'::jsonb,
  enabled boolean not null default true,
  begun text
);
create table unstuck.provider_alarms (
  id bigint not null generated always as identity,
  at timestamp with time zone not null default clock_timestamp(),
  last_at timestamp with time zone not null default clock_timestamp(),
  provider text not null,
  tool text,
  code text not null,
  detail text,
  count integer not null default 1
);
create table unstuck.providers (
  provider text not null,
  max_concurrent integer not null,
  enabled boolean not null default true,
  synchronous boolean not null default false,
  signed_webhooks boolean not null default false,
  retried_by_function boolean not null default false,
  limit_changed_at timestamp with time zone not null default '-infinity'::timestamp with time zone,
  account_faults integer not null default 0,
  circuit_open_until timestamp with time zone,
  circuit_opened_at timestamp with time zone,
  circuit_reason text,
  circuit_closed_at timestamp with time zone not null default '-infinity'::timestamp with time zone,
  learned_limit integer,
  limit_probe_at timestamp with time zone,
  balance_least jsonb not null default '{}'::jsonb
);
create table unstuck.purchases (
  id uuid not null default gen_random_uuid(),
  seller text not null,
  user_id uuid,
  email text,
  pack text,
  credits bigint not null default 0,
  granted bigint not null default 0,
  taken bigint not null default 0,
  keys text[] not null,
  facts jsonb not null default '[]'::jsonb,
  ids uuid[] not null,
  waits boolean not null default false,
  created_at timestamp with time zone not null default clock_timestamp()
);
create table unstuck.refunds_owed (
  job_id uuid not null,
  step integer,
  amount bigint not null,
  error text not null,
  at timestamp with time zone not null default clock_timestamp(),
  tries integer not null default 1
);
create table unstuck.retention (
  kind text not null,
  keep interval
);
create table unstuck.sessions (
  id text not null,
  user_id uuid not null,
  seen_at timestamp with time zone,
  left_at timestamp with time zone not null
);
create table unstuck.signup_bonus (
  credits bigint not null,
  since timestamp with time zone not null default clock_timestamp()
);
create table unstuck.sweeps (
  id bigint not null generated always as identity,
  source text not null,
  started_at timestamp with time zone not null default clock_timestamp(),
  finished_at timestamp with time zone,
  cleaned integer not null default 0,
  refunded_credits bigint not null default 0,
  requeued integer not null default 0,
  delivered integer not null default 0,
  stuck integer,
  violations integer
);
create table unstuck.tool_prices (
  tool text not null,
  "position" integer not null,
  matches jsonb not null default '{}'::jsonb,
  credits bigint not null,
  priced_per text not null default 'job'::text,
  quantity numeric,
  note text,
  credits_min bigint
);
create table unstuck.tools (
  tool text not null,
  table_name text not null,
  provider text not null,
  credit_cost bigint not null,
  priced_per text not null default 'job'::text,
  step_order text not null default 'sequential'::text,
  refund_rule text not null default 'all'::text,
  exclusive_group text,
  start_timeout interval not null default '00:00:25'::interval,
  run_timeout interval not null default '00:10:00'::interval,
  queue_ttl interval not null default '00:10:00'::interval,
  attempt_max integer not null default 3,
  user_cancel_running boolean not null default false,
  enabled boolean not null default true,
  account_faults integer not null default 0,
  circuit_open_until timestamp with time zone,
  circuit_opened_at timestamp with time zone,
  circuit_reason text,
  circuit_closed_at timestamp with time zone not null default '-infinity'::timestamp with time zone,
  provider_cost numeric
);
create table unstuck.user_roles (
  user_id uuid not null,
  role unstuck.app_role not null
);
create table unstuck.violations_found (
  invariant text not null,
  subject text not null,
  detail text not null,
  job_id uuid,
  user_id uuid,
  entry_id bigint,
  found_at timestamp with time zone not null default clock_timestamp(),
  checked_at timestamp with time zone not null default clock_timestamp()
);
create table unstuck.webhook_inbox (
  id bigint not null generated always as identity,
  provider text not null,
  job_id uuid not null,
  step integer not null,
  run bigint not null,
  task_id text,
  dedup_key text not null,
  body jsonb not null,
  received_at timestamp with time zone not null default clock_timestamp(),
  applied_at timestamp with time zone
);
create table unstuck_private.alert_states (
  subject text not null,
  code text not null,
  is_bad boolean not null,
  words text not null,
  since timestamp with time zone not null,
  told_bad_at timestamp with time zone,
  told_at timestamp with time zone
);
create table unstuck_private.audit_lock (
  only_one boolean not null default true,
  audited_at timestamp with time zone
);
create table unstuck_private.costs_by_day (
  day date not null,
  tool text not null,
  attempts bigint not null,
  cost numeric not null
);
create table unstuck_private.counted_until (
  only_row boolean not null default true,
  at timestamp with time zone not null default clock_timestamp()
);
create table unstuck_private.counters (
  name text not null,
  labels jsonb not null,
  value numeric not null
);
create table unstuck_private.deployment (
  id text not null,
  supabase_url text not null,
  uploads_bucket text not null default 'uploads'::text,
  results_bucket text not null default 'results'::text
);
create table unstuck_private.deployment_alarms (
  id text not null,
  at timestamp with time zone not null default clock_timestamp(),
  last_at timestamp with time zone not null default clock_timestamp(),
  count bigint not null default 1
);
create table unstuck_private.ended_by_minute (
  minute timestamp with time zone not null,
  provider text not null,
  done integer not null,
  failed integer not null
);
create table unstuck_private.events_seen (
  function text not null,
  event text not null,
  at timestamp with time zone not null default clock_timestamp()
);
create table unstuck_private.file_walks (
  kind text not null,
  cursor text
);
create table unstuck_private.healer_marks (
  healer text not null,
  seen_at timestamp with time zone,
  asked_at timestamp with time zone,
  pinged_at timestamp with time zone
);
create table unstuck_private.installed (
  adapter text not null,
  at timestamp with time zone not null default clock_timestamp()
);
create table unstuck_private.migrations (
  number integer not null,
  name text not null,
  hash text not null,
  at timestamp with time zone not null default clock_timestamp()
);
create table unstuck_private.provider_balances (
  provider text not null,
  amounts jsonb not null,
  told_at timestamp with time zone not null
);
create table unstuck_private.removals (
  user_id uuid not null,
  jobs_removed_at timestamp with time zone not null default '-infinity'::timestamp with time zone,
  ledger_removed_at timestamp with time zone not null default '-infinity'::timestamp with time zone
);
create table unstuck_private.retention_progress (
  kind text not null,
  pruned bigint not null default 0,
  pruned_at timestamp with time zone,
  "position" bigint,
  error text,
  error_at timestamp with time zone
);
create table unstuck_private.settings_differing (
  name text not null
);
create table unstuck_private.turns_owed (
  provider text not null,
  user_id uuid not null
);
create table unstuck_private.unaudited (
  id bigint not null generated always as identity,
  job_id uuid,
  user_id uuid,
  entry_id bigint
) with (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=5000);
create table unstuck_private.unhealed (
  job_id uuid not null,
  tries integer not null default 1,
  retry_at timestamp with time zone not null,
  reason text not null
);
create table unstuck_private.unprojected (
  xid xid8 not null default pg_current_xact_id(),
  job_id uuid not null
);

-- constraints
alter table unstuck.admin_log add constraint admin_log_pkey PRIMARY KEY (id);
alter table unstuck.cancelled_requests add constraint cancelled_requests_pkey PRIMARY KEY (user_id, job_id);
alter table unstuck.credit_accounts add constraint credit_accounts_balance_check CHECK ((balance >= 0));
alter table unstuck.credit_accounts add constraint credit_accounts_pkey PRIMARY KEY (user_id);
alter table unstuck.credit_debts add constraint credit_debts_check CHECK (((settled >= 0) AND (settled <= amount)));
alter table unstuck.credit_debts add constraint credit_debts_pkey PRIMARY KEY (id);
alter table unstuck.credit_entries add constraint credit_entries_idempotency_key_key UNIQUE (idempotency_key);
alter table unstuck.credit_entries add constraint credit_entries_kind_check CHECK ((kind = ANY (ARRAY['grant'::text, 'purchase'::text, 'bonus'::text, 'goodwill'::text, 'debit'::text, 'refund'::text, 'adjustment'::text, 'chargeback'::text])));
alter table unstuck.credit_entries add constraint credit_entries_pkey PRIMARY KEY (id);
alter table unstuck.credit_entries add constraint credit_entries_sign CHECK (
CASE kind
    WHEN 'debit'::text THEN (amount < 0)
    WHEN 'chargeback'::text THEN (amount < 0)
    WHEN 'adjustment'::text THEN (amount <> 0)
    ELSE (amount > 0)
END);
alter table unstuck.credit_packs add constraint credit_packs_credits_check CHECK (((credits >= 1) AND (credits <= '1000000000000'::bigint)));
alter table unstuck.credit_packs add constraint credit_packs_pkey PRIMARY KEY (pack);
alter table unstuck.credit_packs add constraint credit_packs_price_id_key UNIQUE (price_id);
alter table unstuck.credit_packs add constraint credit_packs_words_check CHECK ((jsonb_typeof(words) = 'object'::text));
alter table unstuck.erasures add constraint erasures_files_left_check CHECK ((files_left >= 0));
alter table unstuck.erasures add constraint erasures_pkey PRIMARY KEY (user_id);
alter table unstuck.host_requests add constraint host_requests_pkey PRIMARY KEY (id);
alter table unstuck.job_events add constraint job_events_pkey PRIMARY KEY (id);
alter table unstuck.job_steps add constraint job_steps_completed_at_iff_final CHECK (((completed_at IS NOT NULL) = (status = ANY (ARRAY['completed'::text, 'failed'::text, 'cancelled'::text]))));
alter table unstuck.job_steps add constraint job_steps_counts_in_reach CHECK (((run < '1000000000000000'::bigint) AND (attempts < 1000000000) AND (rescues < 1000000000)));
alter table unstuck.job_steps add constraint job_steps_job_id_fkey FOREIGN KEY (job_id) REFERENCES unstuck.jobs(id) ON DELETE CASCADE;
alter table unstuck.job_steps add constraint job_steps_pkey PRIMARY KEY (job_id, step);
alter table unstuck.job_steps add constraint job_steps_provider_fkey FOREIGN KEY (provider) REFERENCES unstuck.providers(provider);
alter table unstuck.job_steps add constraint job_steps_provider_provider_task_id_key UNIQUE (provider, provider_task_id);
alter table unstuck.job_steps add constraint job_steps_share_check CHECK ((share >= 0));
alter table unstuck.job_steps add constraint job_steps_status_check CHECK ((status = ANY (ARRAY['blocked'::text, 'queued'::text, 'starting'::text, 'running'::text, 'completed'::text, 'failed'::text, 'cancelled'::text])));
alter table unstuck.job_steps add constraint job_steps_step_check CHECK ((step >= 1));
alter table unstuck.jobs add constraint jobs_completed_at_iff_final CHECK (((completed_at IS NOT NULL) = (status = ANY (ARRAY['completed'::text, 'failed'::text, 'cancelled'::text]))));
alter table unstuck.jobs add constraint jobs_credits_charged_check CHECK ((credits_charged >= 0));
alter table unstuck.jobs add constraint jobs_error_code_check CHECK ((error_code = ANY (ARRAY['TIMEOUT'::text, 'QUEUE_TIMEOUT'::text, 'PROVIDER_REJECTED'::text, 'PROVIDER_FAILED'::text, 'CONTENT_REFUSED'::text, 'DELIVERY_FAILED'::text, 'CANCELLED'::text, 'INSUFFICIENT_CREDITS'::text, 'CREDIT_ERROR'::text, 'ORPHANED'::text])));
alter table unstuck.jobs add constraint jobs_error_message_names_code CHECK (((error_code IS NULL) OR (error_message ~~ (error_code || ':%'::text))));
alter table unstuck.jobs add constraint jobs_pkey PRIMARY KEY (id);
alter table unstuck.jobs add constraint jobs_refund_rule_check CHECK ((refund_rule = ANY (ARRAY['all'::text, 'per_step'::text])));
alter table unstuck.jobs add constraint jobs_refund_within_charge CHECK (((credits_refunded >= 0) AND (credits_refunded <= credits_charged)));
alter table unstuck.jobs add constraint jobs_retries_in_reach CHECK ((retries < 1000000000));
alter table unstuck.jobs add constraint jobs_retry_of_fkey FOREIGN KEY (retry_of) REFERENCES unstuck.jobs(id);
alter table unstuck.jobs add constraint jobs_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'queued'::text, 'starting'::text, 'running'::text, 'completed'::text, 'failed'::text, 'cancelled'::text])));
alter table unstuck.jobs add constraint jobs_tool_fkey FOREIGN KEY (tool) REFERENCES unstuck.tools(tool);
alter table unstuck.jobs add constraint jobs_total_steps_check CHECK ((total_steps >= 1));
alter table unstuck.messages_owed add constraint messages_owed_pkey PRIMARY KEY (id);
alter table unstuck.projection_errors add constraint projection_errors_pkey PRIMARY KEY (id);
alter table unstuck.projections add constraint projections_check CHECK (((begun IS NULL) OR (level = 'job'::text)));
alter table unstuck.projections add constraint projections_columns_check CHECK ((jsonb_typeof(columns) = 'object'::text));
alter table unstuck.projections add constraint projections_level_check CHECK ((level = ANY (ARRAY['job'::text, 'step'::text])));
alter table unstuck.projections add constraint projections_pkey PRIMARY KEY (tool, host_table);
alter table unstuck.projections add constraint projections_settings_check CHECK ((jsonb_typeof(settings) = 'object'::text));
alter table unstuck.projections add constraint projections_statuses_check CHECK ((jsonb_typeof(statuses) = 'object'::text));
alter table unstuck.projections add constraint projections_tool_fkey FOREIGN KEY (tool) REFERENCES unstuck.tools(tool);
alter table unstuck.provider_alarms add constraint provider_alarms_count_check CHECK ((count >= 1));
alter table unstuck.provider_alarms add constraint provider_alarms_pkey PRIMARY KEY (id);
alter table unstuck.provider_alarms add constraint provider_alarms_provider_fkey FOREIGN KEY (provider) REFERENCES unstuck.providers(provider);
alter table unstuck.provider_alarms add constraint provider_alarms_tool_fkey FOREIGN KEY (tool) REFERENCES unstuck.tools(tool);
alter table unstuck.providers add constraint providers_balance_least_check CHECK ((jsonb_typeof(balance_least) = 'object'::text));
alter table unstuck.providers add constraint providers_learned_limit_check CHECK ((learned_limit >= 0));
alter table unstuck.providers add constraint providers_max_concurrent_check CHECK ((max_concurrent >= 0));
alter table unstuck.providers add constraint providers_pkey PRIMARY KEY (provider);
alter table unstuck.purchases add constraint purchases_check CHECK (((taken >= 0) AND (taken <= granted)));
alter table unstuck.purchases add constraint purchases_pkey PRIMARY KEY (id);
alter table unstuck.refunds_owed add constraint refunds_owed_amount_check CHECK ((amount > 0));
alter table unstuck.retention add constraint retention_keep_check CHECK ((keep > '00:00:00'::interval));
alter table unstuck.retention add constraint retention_pkey PRIMARY KEY (kind);
alter table unstuck.sessions add constraint sessions_pkey PRIMARY KEY (user_id, id);
alter table unstuck.signup_bonus add constraint signup_bonus_credits_check CHECK (((credits >= 1) AND (credits <= '1000000000000'::bigint)));
alter table unstuck.sweeps add constraint sweeps_pkey PRIMARY KEY (id);
alter table unstuck.tool_prices add constraint tool_prices_credits_check CHECK (((credits >= 0) AND (credits <= '1000000000000'::bigint)));
alter table unstuck.tool_prices add constraint tool_prices_credits_min_check CHECK (((credits_min >= 1) AND (credits_min <= '1000000000000'::bigint)));
alter table unstuck.tool_prices add constraint tool_prices_matches_check CHECK (COALESCE(((jsonb_typeof(matches) = 'object'::text) AND (NOT (matches @? 'strict $.*?((@.type() == "array" || @.type() == "object" && !(exists (@.keyvalue()))) || @.type() == "object" && exists (@.keyvalue()?(((@."key" != "in" && @."value".type() != "number" || (((@."key" != "in" && @."key" != "gt") && @."key" != "gte") && @."key" != "lt") && @."key" != "lte") || @."key" == "in" && @."value".type() != "array") || (@."key" == "in" && @."value".type() == "array") && (!(exists (@."value"[*])) || exists (@."value"[*]?(@.type() == "array" || @.type() == "object"))))))'::jsonpath))), false));
alter table unstuck.tool_prices add constraint tool_prices_pkey PRIMARY KEY (tool, "position");
alter table unstuck.tool_prices add constraint tool_prices_priced_per_check CHECK ((priced_per = ANY (ARRAY['job'::text, 'step'::text, 'second'::text, 'megapixel'::text])));
alter table unstuck.tool_prices add constraint tool_prices_quantity_check CHECK (
CASE
    WHEN (priced_per = ANY (ARRAY['second'::text, 'megapixel'::text])) THEN COALESCE(((quantity > (0)::numeric) AND (quantity <= (1000000)::numeric)), false)
    ELSE ((COALESCE(quantity, (1)::numeric) = (1)::numeric) AND (credits_min IS NULL))
END);
alter table unstuck.tool_prices add constraint tool_prices_tool_fkey FOREIGN KEY (tool) REFERENCES unstuck.tools(tool) ON DELETE CASCADE;
alter table unstuck.tools add constraint tools_attempt_max_check CHECK ((attempt_max >= 1));
alter table unstuck.tools add constraint tools_credit_cost_check CHECK ((credit_cost >= 0));
alter table unstuck.tools add constraint tools_pkey PRIMARY KEY (tool);
alter table unstuck.tools add constraint tools_priced_per_check CHECK ((priced_per = ANY (ARRAY['job'::text, 'step'::text])));
alter table unstuck.tools add constraint tools_provider_cost_check CHECK ((provider_cost >= (0)::numeric));
alter table unstuck.tools add constraint tools_provider_fkey FOREIGN KEY (provider) REFERENCES unstuck.providers(provider);
alter table unstuck.tools add constraint tools_queue_ttl_check CHECK ((queue_ttl > '00:00:00'::interval));
alter table unstuck.tools add constraint tools_refund_rule_check CHECK ((refund_rule = ANY (ARRAY['all'::text, 'per_step'::text])));
alter table unstuck.tools add constraint tools_run_timeout_check CHECK ((run_timeout > '00:00:00'::interval));
alter table unstuck.tools add constraint tools_start_timeout_check CHECK ((start_timeout > '00:00:00'::interval));
alter table unstuck.tools add constraint tools_step_order_check CHECK ((step_order = ANY (ARRAY['sequential'::text, 'parallel'::text])));
alter table unstuck.tools add constraint tools_table_name_check CHECK ((table_name = ANY (ARRAY['upscaler_jobs'::text, 'video_upscaler_jobs'::text, 'pose_changer_jobs'::text, 'veste_ai_jobs'::text, 'generation_jobs'::text, 'replicate_tasks'::text, 'generation_history'::text])));
alter table unstuck.user_roles add constraint user_roles_pkey PRIMARY KEY (user_id, role);
alter table unstuck.violations_found add constraint violations_found_one_key CHECK (((job_id IS NULL) <> (user_id IS NULL)));
alter table unstuck.violations_found add constraint violations_found_pkey PRIMARY KEY (invariant, subject);
alter table unstuck.webhook_inbox add constraint webhook_inbox_pkey PRIMARY KEY (id);
alter table unstuck.webhook_inbox add constraint webhook_inbox_provider_dedup_key_key UNIQUE (provider, dedup_key);
alter table unstuck_private.alert_states add constraint alert_states_pkey PRIMARY KEY (subject);
alter table unstuck_private.audit_lock add constraint audit_lock_only_one_check CHECK (only_one);
alter table unstuck_private.audit_lock add constraint audit_lock_pkey PRIMARY KEY (only_one);
alter table unstuck_private.costs_by_day add constraint costs_by_day_pkey PRIMARY KEY (day, tool);
alter table unstuck_private.counted_until add constraint counted_until_only_row_check CHECK (only_row);
alter table unstuck_private.counted_until add constraint counted_until_pkey PRIMARY KEY (only_row);
alter table unstuck_private.counters add constraint counters_pkey PRIMARY KEY (name, labels);
alter table unstuck_private.deployment add constraint deployment_id_check CHECK ((id <> ''::text));
alter table unstuck_private.deployment_alarms add constraint deployment_alarms_pkey PRIMARY KEY (id);
alter table unstuck_private.ended_by_minute add constraint ended_by_minute_pkey PRIMARY KEY (provider, minute);
alter table unstuck_private.events_seen add constraint events_seen_event_check CHECK ((event = ANY (ARRAY['cron'::text, 'queue'::text])));
alter table unstuck_private.events_seen add constraint events_seen_pkey PRIMARY KEY (function, event);
alter table unstuck_private.file_walks add constraint file_walks_pkey PRIMARY KEY (kind);
alter table unstuck_private.healer_marks add constraint healer_marks_pkey PRIMARY KEY (healer);
alter table unstuck_private.installed add constraint installed_pkey PRIMARY KEY (adapter);
alter table unstuck_private.migrations add constraint migrations_pkey PRIMARY KEY (number);
alter table unstuck_private.provider_balances add constraint provider_balances_pkey PRIMARY KEY (provider);
alter table unstuck_private.provider_balances add constraint provider_balances_provider_fkey FOREIGN KEY (provider) REFERENCES unstuck.providers(provider);
alter table unstuck_private.removals add constraint removals_pkey PRIMARY KEY (user_id);
alter table unstuck_private.retention_progress add constraint retention_progress_pkey PRIMARY KEY (kind);
alter table unstuck_private.settings_differing add constraint settings_differing_pkey PRIMARY KEY (name);
alter table unstuck_private.turns_owed add constraint turns_owed_pkey PRIMARY KEY (provider, user_id);
alter table unstuck_private.turns_owed add constraint turns_owed_provider_fkey FOREIGN KEY (provider) REFERENCES unstuck.providers(provider);
alter table unstuck_private.unaudited add constraint unaudited_pkey PRIMARY KEY (id);
alter table unstuck_private.unhealed add constraint unhealed_pkey PRIMARY KEY (job_id);
alter table unstuck_private.unprojected add constraint unprojected_project TRIGGER DEFERRABLE INITIALLY DEFERRED;

-- indexes
CREATE INDEX admin_log_by_act ON unstuck.admin_log USING btree (act, id DESC);
CREATE INDEX admin_log_by_subject ON unstuck.admin_log USING btree (subject, id DESC);
CREATE INDEX admin_log_by_time ON unstuck.admin_log USING btree (at DESC);
CREATE INDEX cancelled_requests_by_time ON unstuck.cancelled_requests USING btree (at);
CREATE INDEX credit_debts_by_purchase ON unstuck.credit_debts USING btree (purchase_id);
CREATE INDEX credit_debts_open ON unstuck.credit_debts USING btree (user_id, created_at) WHERE (amount > settled);
CREATE INDEX credit_entries_by_day ON unstuck.credit_entries USING brin (created_at);
CREATE INDEX credit_entries_by_purchase ON unstuck.credit_entries USING btree (purchase_id) WHERE (purchase_id IS NOT NULL);
CREATE INDEX credit_entries_by_user ON unstuck.credit_entries USING btree (user_id, id);
CREATE UNIQUE INDEX credit_entries_once_per_job ON unstuck.credit_entries USING btree (job_id, step, kind) NULLS NOT DISTINCT WHERE ((kind = ANY (ARRAY['debit'::text, 'refund'::text])) AND (job_id IS NOT NULL));
CREATE UNIQUE INDEX credit_entries_one_debit ON unstuck.credit_entries USING btree (job_id) WHERE ((kind = 'debit'::text) AND (job_id IS NOT NULL));
CREATE INDEX credit_entries_returned ON unstuck.credit_entries USING btree (user_id, kind, created_at) WHERE (kind = ANY (ARRAY['adjustment'::text, 'refund'::text]));
CREATE INDEX erasures_open ON unstuck.erasures USING btree (at) WHERE (files_left IS DISTINCT FROM 0);
CREATE INDEX host_requests_of_job ON unstuck.host_requests USING btree (job_id);
CREATE INDEX job_events_by_job ON unstuck.job_events USING btree (job_id, id);
CREATE INDEX job_events_by_time ON unstuck.job_events USING btree (at);
CREATE INDEX job_steps_cancel_due ON unstuck.job_steps USING btree (provider) WHERE (provider_cancel_due <> '[]'::jsonb);
CREATE INDEX job_steps_durations ON unstuck.job_steps USING btree (provider, completed_at DESC) WHERE (status = 'completed'::text);
CREATE INDEX job_steps_freed ON unstuck.job_steps USING btree (COALESCE(provider_done_at, completed_at));
CREATE INDEX job_steps_line ON unstuck.job_steps USING btree (provider, turn_at, job_id, step) WHERE ((status = 'queued'::text) AND (turn_at IS NOT NULL));
CREATE INDEX job_steps_line_of_tool ON unstuck.job_steps USING btree (provider, line_tool, turn_at, job_id, step) INCLUDE (run, deadline_at) WHERE ((status = 'queued'::text) AND (turn_at IS NOT NULL));
CREATE INDEX job_steps_line_of_user ON unstuck.job_steps USING btree (provider, line_user_id, turn_at, line_since, job_id, step) WHERE (status = 'queued'::text);
CREATE INDEX job_steps_slots ON unstuck.job_steps USING btree (provider) WHERE ((status = ANY (ARRAY['starting'::text, 'running'::text])) AND (provider_done_at IS NULL));
CREATE INDEX job_steps_with_input ON unstuck.job_steps USING btree (completed_at) WHERE ((completed_at IS NOT NULL) AND (input <> '{}'::jsonb));
CREATE INDEX job_steps_working ON unstuck.job_steps USING btree (lease_until) WHERE (status = ANY (ARRAY['starting'::text, 'running'::text]));
CREATE INDEX jobs_by_created ON unstuck.jobs USING btree (created_at DESC);
CREATE INDEX jobs_by_request ON unstuck.jobs USING btree (request_id) WHERE (request_id IS NOT NULL);
CREATE INDEX jobs_by_retried ON unstuck.jobs USING btree (retry_of) WHERE (retry_of IS NOT NULL);
CREATE INDEX jobs_by_update ON unstuck.jobs USING btree (updated_at);
CREATE INDEX jobs_by_user ON unstuck.jobs USING btree (user_id, created_at DESC);
CREATE INDEX jobs_live_by_age ON unstuck.jobs USING btree (COALESCE(started_at, created_at), id) WHERE (status = ANY (ARRAY['pending'::text, 'queued'::text, 'starting'::text, 'running'::text]));
CREATE INDEX jobs_live_by_deadline ON unstuck.jobs USING btree (deadline_at, id) WHERE (status = ANY (ARRAY['pending'::text, 'queued'::text, 'starting'::text, 'running'::text]));
CREATE INDEX jobs_live_by_user ON unstuck.jobs USING btree (user_id) WHERE (status = ANY (ARRAY['pending'::text, 'queued'::text, 'starting'::text, 'running'::text]));
CREATE INDEX jobs_never_ordered ON unstuck.jobs USING btree (completed_at) WHERE ((status = 'cancelled'::text) AND (request_hash IS NULL) AND (started_at IS NULL) AND (credits_charged = 0));
CREATE UNIQUE INDEX jobs_one_live_per_exclusive_key ON unstuck.jobs USING btree (exclusive_key) WHERE ((exclusive_key IS NOT NULL) AND (status = ANY (ARRAY['queued'::text, 'starting'::text, 'running'::text])));
CREATE UNIQUE INDEX jobs_one_live_retry ON unstuck.jobs USING btree (retry_of) WHERE ((retry_of IS NOT NULL) AND (status = ANY (ARRAY['pending'::text, 'queued'::text, 'starting'::text, 'running'::text])));
CREATE INDEX jobs_with_input ON unstuck.jobs USING btree (completed_at) WHERE ((completed_at IS NOT NULL) AND (input <> '{}'::jsonb));
CREATE INDEX messages_owed_by_age ON unstuck.messages_owed USING btree (created_at) WHERE ((kind = 'job_end'::text) AND (sent_at IS NULL));
CREATE INDEX messages_owed_by_due ON unstuck.messages_owed USING btree (due_at) WHERE ((sent_at IS NULL) AND (given_up_at IS NULL));
CREATE INDEX messages_owed_by_sent ON unstuck.messages_owed USING btree (sent_at) WHERE (sent_at IS NOT NULL);
CREATE INDEX messages_owed_by_user ON unstuck.messages_owed USING btree (user_id) WHERE (user_id IS NOT NULL);
CREATE INDEX projection_errors_mended ON unstuck.projection_errors USING btree (mended_at) WHERE (mended_at IS NOT NULL);
CREATE UNIQUE INDEX projection_errors_owed ON unstuck.projection_errors USING btree (job_id, host_table) WHERE (mended_at IS NULL);
CREATE INDEX provider_alarms_by_time ON unstuck.provider_alarms USING btree (at);
CREATE INDEX purchases_by_key ON unstuck.purchases USING gin (keys);
CREATE INDEX purchases_by_subscription ON unstuck.purchases USING gin (jsonb_path_query_array(facts, '$[*]."subscription"'::jsonpath));
CREATE INDEX purchases_by_user ON unstuck.purchases USING btree (user_id);
CREATE INDEX purchases_waiting ON unstuck.purchases USING btree (user_id) WHERE waits;
CREATE INDEX purchases_waiting_by_email ON unstuck.purchases USING btree (email) WHERE waits;
CREATE UNIQUE INDEX refunds_owed_once ON unstuck.refunds_owed USING btree (job_id, step) NULLS NOT DISTINCT;
CREATE INDEX sessions_by_leaving ON unstuck.sessions USING btree (left_at);
CREATE UNIQUE INDEX signup_bonus_is_one ON unstuck.signup_bonus USING btree ((true));
CREATE INDEX sweeps_by_time ON unstuck.sweeps USING btree (started_at);
CREATE INDEX sweeps_finished ON unstuck.sweeps USING btree (finished_at DESC) WHERE (finished_at IS NOT NULL);
CREATE INDEX violations_found_by_check ON unstuck.violations_found USING btree (checked_at);
CREATE INDEX violations_found_by_job ON unstuck.violations_found USING btree (job_id) WHERE (job_id IS NOT NULL);
CREATE INDEX violations_found_by_user ON unstuck.violations_found USING btree (user_id) WHERE (user_id IS NOT NULL);
CREATE INDEX webhook_inbox_by_job ON unstuck.webhook_inbox USING btree (job_id, step, run);
CREATE INDEX webhook_inbox_by_time ON unstuck.webhook_inbox USING btree (received_at);
CREATE INDEX webhook_inbox_open ON unstuck.webhook_inbox USING btree (provider, received_at) WHERE (applied_at IS NULL);
CREATE UNIQUE INDEX deployment_is_one ON unstuck_private.deployment USING btree ((true));
CREATE UNIQUE INDEX installed_is_one ON unstuck_private.installed USING btree ((true));
CREATE INDEX unprojected_by_transaction ON unstuck_private.unprojected USING btree (xid);

-- views
create view public.generation_history with (security_invoker=true) as
 SELECT id,
    user_id,
    session_id,
    tool,
    status,
    "position",
    task_id,
    input_file_name,
    input_url,
    output_url,
    user_credit_cost,
    credits_refunded,
    error_code,
    error_message,
    created_at,
    queued_at,
    started_at,
    completed_at,
    updated_at,
    waited_in_queue,
    prompt,
    site_name,
    language,
    admin_note,
    retries
   FROM unstuck.generation_history;
create view public.generation_jobs with (security_invoker=true) as
 SELECT id,
    user_id,
    session_id,
    tool,
    status,
    "position",
    task_id,
    input_file_name,
    input_url,
    output_url,
    user_credit_cost,
    credits_refunded,
    error_code,
    error_message,
    created_at,
    queued_at,
    started_at,
    completed_at,
    updated_at,
    waited_in_queue,
    product_name,
    category,
    description,
    product_images,
    selected_cards,
    aspect_ratio,
    total_cards
   FROM unstuck.generation_jobs;
create view public.generation_tasks with (security_invoker=true) as
 SELECT job_id,
    step,
    task_index,
    user_id,
    session_id,
    status,
    card_index,
    image_url,
    attempts,
    not_before,
    error_code,
    last_error,
    created_at,
    started_at,
    completed_at,
    id,
    "position",
    task_id,
    input_file_name,
    input_url,
    output_url,
    user_credit_cost,
    error_message,
    queued_at,
    updated_at,
    waited_in_queue
   FROM unstuck.generation_tasks;
create view public.pose_changer_jobs with (security_invoker=true) as
 SELECT id,
    user_id,
    session_id,
    tool,
    status,
    "position",
    task_id,
    input_file_name,
    input_url,
    output_url,
    user_credit_cost,
    credits_refunded,
    error_code,
    error_message,
    created_at,
    queued_at,
    started_at,
    completed_at,
    updated_at,
    waited_in_queue,
    person_image_url,
    reference_image_url
   FROM unstuck.pose_changer_jobs;
create view public.replicate_tasks with (security_invoker=true) as
 SELECT id,
    user_id,
    session_id,
    tool,
    status,
    "position",
    task_id,
    input_file_name,
    input_url,
    output_url,
    user_credit_cost,
    credits_refunded,
    error_code,
    error_message,
    created_at,
    queued_at,
    started_at,
    completed_at,
    updated_at,
    waited_in_queue,
    person_image,
    garments,
    prompt_hints,
    prediction_id,
    result_url,
    current_step,
    total_steps,
    seconds_since_change
   FROM unstuck.replicate_tasks;
create view public.upscaler_jobs with (security_invoker=true) as
 SELECT id,
    user_id,
    session_id,
    tool,
    status,
    "position",
    task_id,
    input_file_name,
    input_url,
    output_url,
    user_credit_cost,
    credits_refunded,
    error_code,
    error_message,
    created_at,
    queued_at,
    started_at,
    completed_at,
    updated_at,
    waited_in_queue,
    image_url,
    resolution,
    detail_denoise,
    prompt,
    version,
    category,
    framing_mode
   FROM unstuck.upscaler_jobs;
create view public.user_roles with (security_invoker=true) as
 SELECT user_id,
    role
   FROM unstuck.user_roles;
create view public.veste_ai_jobs with (security_invoker=true) as
 SELECT id,
    user_id,
    session_id,
    tool,
    status,
    "position",
    task_id,
    input_file_name,
    input_url,
    output_url,
    user_credit_cost,
    credits_refunded,
    error_code,
    error_message,
    created_at,
    queued_at,
    started_at,
    completed_at,
    updated_at,
    waited_in_queue,
    person_image_url,
    clothing_image_url
   FROM unstuck.veste_ai_jobs;
create view public.video_upscaler_jobs with (security_invoker=true) as
 SELECT id,
    user_id,
    session_id,
    tool,
    status,
    "position",
    task_id,
    input_file_name,
    input_url,
    output_url,
    user_credit_cost,
    credits_refunded,
    error_code,
    error_message,
    created_at,
    queued_at,
    started_at,
    completed_at,
    updated_at,
    waited_in_queue,
    video_url,
    width,
    height,
    duration_seconds
   FROM unstuck.video_upscaler_jobs;
create view unstuck.generation_history with (security_invoker=true) as
 SELECT id,
    user_id,
    session_id,
    tool,
    unstuck_private.status_word('generation_history'::text, status) AS status,
        CASE
            WHEN status = 'queued'::text THEN ((( SELECT unstuck_private.caller_positions() AS caller_positions)) ->> id::text)::integer
            ELSE NULL::integer
        END AS "position",
    ( SELECT s.provider_task_id
           FROM unstuck.job_steps s
          WHERE s.job_id = j.id AND s.provider_task_id IS NOT NULL
          ORDER BY s.step DESC
         LIMIT 1) AS task_id,
    COALESCE(input #>> '{prompt}'::text[], input ->> 'input_file_name'::text) AS input_file_name,
    input #>> '{prompt}'::text[] AS input_url,
    output_url,
    credits_charged AS user_credit_cost,
    credits_refunded,
    error_code,
    error_message,
    created_at,
    queued_at,
    started_at,
    completed_at,
    updated_at,
    waited_in_queue,
    input ->> 'prompt'::text AS prompt,
    input ->> 'siteName'::text AS site_name,
    input ->> 'language'::text AS language,
    'retry:'::text || retries AS admin_note,
    retries
   FROM unstuck.jobs j
  WHERE (tool IN ( SELECT t.tool
           FROM unstuck.tools t
          WHERE t.table_name = 'generation_history'::text));
create view unstuck.generation_jobs with (security_invoker=true) as
 SELECT id,
    user_id,
    session_id,
    tool,
    unstuck_private.status_word('generation_jobs'::text, status) AS status,
        CASE
            WHEN status = 'queued'::text THEN ((( SELECT unstuck_private.caller_positions() AS caller_positions)) ->> id::text)::integer
            ELSE NULL::integer
        END AS "position",
    ( SELECT s.provider_task_id
           FROM unstuck.job_steps s
          WHERE s.job_id = j.id AND s.provider_task_id IS NOT NULL
          ORDER BY s.step DESC
         LIMIT 1) AS task_id,
    COALESCE(input #>> '{productImages,0,url}'::text[], input ->> 'input_file_name'::text) AS input_file_name,
    input #>> '{productImages,0,url}'::text[] AS input_url,
    output_url,
    credits_charged AS user_credit_cost,
    credits_refunded,
    error_code,
    error_message,
    created_at,
    queued_at,
    started_at,
    completed_at,
    updated_at,
    waited_in_queue,
    input ->> 'productName'::text AS product_name,
    input ->> 'category'::text AS category,
    input ->> 'description'::text AS description,
    input -> 'productImages'::text AS product_images,
    input -> 'selectedCards'::text AS selected_cards,
    input ->> 'aspectRatio'::text AS aspect_ratio,
    total_steps AS total_cards
   FROM unstuck.jobs j
  WHERE (tool IN ( SELECT t.tool
           FROM unstuck.tools t
          WHERE t.table_name = 'generation_jobs'::text));
create view unstuck.generation_tasks with (security_invoker=true) as
 SELECT j.id AS job_id,
    s.step,
    s.step - 1 AS task_index,
    j.user_id,
    j.session_id,
        CASE
            WHEN s.status = 'queued'::text AND s.not_before > now() THEN 'retrying'::text
            ELSE unstuck_private.status_word('generation_tasks'::text, s.status)
        END AS status,
    unstuck_private.number_or_null((j.input -> 'selectedCards'::text) ->> (s.step - 1))::integer AS card_index,
    p.output_url AS image_url,
    s.attempts,
    s.not_before,
    s.error_code,
    s.error_message AS last_error,
    j.created_at,
    s.started_at,
    s.completed_at,
    md5((s.job_id || '/'::text) || s.step)::uuid AS id,
        CASE
            WHEN s.status = 'queued'::text THEN ((( SELECT unstuck_private.caller_positions() AS caller_positions)) ->> s.job_id::text)::integer
            ELSE NULL::integer
        END AS "position",
    s.provider_task_id AS task_id,
    COALESCE(j.input #>> '{productImages,0,url}'::text[], j.input ->> 'input_file_name'::text) AS input_file_name,
    j.input #>> '{productImages,0,url}'::text[] AS input_url,
    p.output_url,
    s.share AS user_credit_cost,
    s.error_message,
    j.queued_at,
    j.updated_at,
    j.waited_in_queue
   FROM unstuck.job_steps s
     JOIN unstuck.jobs j ON j.id = s.job_id
     LEFT JOIN unstuck_private.delivered_outputs p ON p.job_id = s.job_id AND p.step = s.step
  WHERE (j.tool IN ( SELECT t.tool
           FROM unstuck.tools t
          WHERE t.table_name = 'generation_jobs'::text));
create view unstuck.invariant_violations with (security_invoker=true) as
 SELECT invariant,
    subject,
    detail
   FROM unstuck_private.visible_violations() v(invariant, subject, detail);
create view unstuck.job_health with (security_invoker=true) as
 SELECT t.table_name,
    count(j.id) AS live,
    count(j.id) FILTER (WHERE j.status = ANY (ARRAY['pending'::text, 'queued'::text])) AS waiting,
    count(j.id) FILTER (WHERE j.status = ANY (ARRAY['starting'::text, 'running'::text])) AS running,
    count(j.id) FILTER (WHERE (j.status = ANY (ARRAY['pending'::text, 'queued'::text])) AND COALESCE(j.queued_at, j.created_at) < (now() - '00:02:00'::interval) AND NOT (EXISTS ( SELECT
           FROM unstuck.job_steps s
          WHERE s.job_id = j.id AND s.provider_task_id IS NOT NULL)) AND NOT (j.id IN ( SELECT p.job_id
           FROM unstuck_private.visible_positions() p(job_id, provider, "position", eta_seconds)))) AS old_queued_without_task_or_position,
    count(j.id) FILTER (WHERE t.table_name = 'video_upscaler_jobs'::text AND COALESCE(j.input ->> 'videoUrl'::text, j.input ->> 'input_file_name'::text, ''::text) !~ '^https?://'::text) AS video_input_not_a_url,
    count(j.id) FILTER (WHERE j.updated_at < (now() - '00:10:00'::interval)) AS unchanged_for_10_minutes,
    avg(unstuck_private.seconds_between(j.created_at, now()))::integer AS mean_age_seconds,
    max(unstuck_private.seconds_between(j.created_at, now())) AS oldest_seconds,
    max(unstuck_private.seconds_between(j.updated_at, now())) AS longest_unchanged_seconds
   FROM unstuck.tools t
     LEFT JOIN unstuck.jobs j ON j.tool = t.tool AND unstuck_private.is_live(j.status)
  WHERE ( SELECT unstuck_private.may_see(NULL::uuid) AS may_see)
  GROUP BY t.table_name;
create view unstuck.job_receipts with (security_invoker=true) as
 SELECT id AS job_id,
    user_id,
    tool,
    status,
    credits_charged,
    credits_refunded,
    credits_charged - credits_refunded AS credits_paid,
    total_steps,
    output_url,
    error_code,
    error_message,
    retries,
    retry_of,
    created_at,
    queued_at,
    started_at,
    completed_at,
    ( SELECT jsonb_agg(jsonb_build_object('at', e.created_at, 'kind', e.kind, 'amount', e.amount, 'balance_after', e.balance_after, 'step', e.step, 'reason', e.reason) ORDER BY e.id) AS jsonb_agg
           FROM unstuck.credit_entries e
          WHERE e.job_id = j.id AND (e.kind = ANY (ARRAY['debit'::text, 'refund'::text]))) AS entries
   FROM unstuck.jobs j;
create view unstuck.jobs_by_hour with (security_invoker=true) as
 SELECT hour,
    ordered,
    completed,
    failed,
    cancelled,
    credits_charged,
    credits_refunded
   FROM unstuck_private.visible_hours() h(hour, ordered, completed, failed, cancelled, credits_charged, credits_refunded);
create view unstuck.money_by_day with (security_invoker=true) as
 SELECT day,
    kind,
    tool,
    entries,
    credits
   FROM unstuck_private.visible_money() m(day, kind, tool, entries, credits);
create view unstuck.my_balance with (security_invoker=true) as
 SELECT balance,
    debt,
    waits
   FROM unstuck_private.caller_balance() b(balance, debt, waits);
create view unstuck.open_debts with (security_invoker=true) as
 SELECT user_id,
    sum(amount - settled)::bigint AS owed,
    min(created_at) AS since
   FROM unstuck.credit_debts d
  WHERE amount > settled
  GROUP BY user_id;
create view unstuck.pose_changer_jobs with (security_invoker=true) as
 SELECT id,
    user_id,
    session_id,
    tool,
    unstuck_private.status_word('pose_changer_jobs'::text, status) AS status,
        CASE
            WHEN status = 'queued'::text THEN ((( SELECT unstuck_private.caller_positions() AS caller_positions)) ->> id::text)::integer
            ELSE NULL::integer
        END AS "position",
    ( SELECT s.provider_task_id
           FROM unstuck.job_steps s
          WHERE s.job_id = j.id AND s.provider_task_id IS NOT NULL
          ORDER BY s.step DESC
         LIMIT 1) AS task_id,
    COALESCE(input #>> '{personImageUrl}'::text[], input ->> 'input_file_name'::text) AS input_file_name,
    input #>> '{personImageUrl}'::text[] AS input_url,
    output_url,
    credits_charged AS user_credit_cost,
    credits_refunded,
    error_code,
    error_message,
    created_at,
    queued_at,
    started_at,
    completed_at,
    updated_at,
    waited_in_queue,
    input ->> 'personImageUrl'::text AS person_image_url,
    input ->> 'referenceImageUrl'::text AS reference_image_url
   FROM unstuck.jobs j
  WHERE (tool IN ( SELECT t.tool
           FROM unstuck.tools t
          WHERE t.table_name = 'pose_changer_jobs'::text));
create view unstuck.provider_errors with (security_invoker=true) as
 SELECT provider,
    error_code,
    failures,
    last_at,
    last_job_id,
    last_message
   FROM unstuck_private.visible_errors() f(provider, error_code, failures, last_at, last_job_id, last_message);
create view unstuck.provider_load with (security_invoker=true) as
 SELECT provider,
    enabled,
    max_concurrent,
    running,
    waiting,
    oldest_waiting_seconds,
    circuit_open_until,
    circuit_reason,
    circuits_of_tools,
    learned_limit,
    balance,
    balance_at,
    balance_least
   FROM unstuck_private.visible_load() l(provider, enabled, max_concurrent, running, waiting, oldest_waiting_seconds, circuit_open_until, circuit_reason, circuits_of_tools, learned_limit, balance, balance_at, balance_least);
create view unstuck.provider_outcomes with (security_invoker=true) as
 SELECT provider,
    tool,
    completed,
    failed,
    p50_seconds,
    p95_seconds
   FROM unstuck_private.visible_outcomes() o(provider, tool, completed, failed, p50_seconds, p95_seconds);
create view unstuck.queue_positions with (security_invoker=true) as
 SELECT job_id,
    provider,
    "position",
    eta_seconds
   FROM unstuck_private.visible_positions() s(job_id, provider, "position", eta_seconds);
create view unstuck.replicate_tasks with (security_invoker=true) as
 SELECT j.id,
    j.user_id,
    j.session_id,
    j.tool,
    unstuck_private.status_word('replicate_tasks'::text, j.status) AS status,
        CASE
            WHEN j.status = 'queued'::text THEN ((( SELECT unstuck_private.caller_positions() AS caller_positions)) ->> j.id::text)::integer
            ELSE NULL::integer
        END AS "position",
    k.task_id,
    COALESCE(j.input #>> '{person_image}'::text[], j.input ->> 'input_file_name'::text) AS input_file_name,
    j.input #>> '{person_image}'::text[] AS input_url,
    j.output_url,
    j.credits_charged AS user_credit_cost,
    j.credits_refunded,
    j.error_code,
    j.error_message,
    j.created_at,
    j.queued_at,
    j.started_at,
    j.completed_at,
    j.updated_at,
    j.waited_in_queue,
    j.input ->> 'person_image'::text AS person_image,
    j.input -> 'garments'::text AS garments,
    j.input ->> 'prompt_hints'::text AS prompt_hints,
    k.task_id AS prediction_id,
    j.output_url AS result_url,
    j.current_step,
    j.total_steps,
    unstuck_private.seconds_between(j.updated_at, now()) AS seconds_since_change
   FROM unstuck.jobs j
     LEFT JOIN LATERAL ( SELECT s.provider_task_id AS task_id
           FROM unstuck.job_steps s
          WHERE s.job_id = j.id AND s.provider_task_id IS NOT NULL
          ORDER BY s.step DESC
         LIMIT 1) k ON true
  WHERE (j.tool IN ( SELECT t.tool
           FROM unstuck.tools t
          WHERE t.table_name = 'replicate_tasks'::text));
create view unstuck.tool_costs with (security_invoker=true) as
 SELECT tool,
    provider_cost,
    attempts,
    cost
   FROM unstuck_private.visible_costs() c(tool, provider_cost, attempts, cost);
create view unstuck.upscaler_jobs with (security_invoker=true) as
 SELECT id,
    user_id,
    session_id,
    tool,
    unstuck_private.status_word('upscaler_jobs'::text, status) AS status,
        CASE
            WHEN status = 'queued'::text THEN ((( SELECT unstuck_private.caller_positions() AS caller_positions)) ->> id::text)::integer
            ELSE NULL::integer
        END AS "position",
    ( SELECT s.provider_task_id
           FROM unstuck.job_steps s
          WHERE s.job_id = j.id AND s.provider_task_id IS NOT NULL
          ORDER BY s.step DESC
         LIMIT 1) AS task_id,
    COALESCE(input #>> '{imageUrl}'::text[], input ->> 'input_file_name'::text) AS input_file_name,
    input #>> '{imageUrl}'::text[] AS input_url,
    output_url,
    credits_charged AS user_credit_cost,
    credits_refunded,
    error_code,
    error_message,
    created_at,
    queued_at,
    started_at,
    completed_at,
    updated_at,
    waited_in_queue,
    input ->> 'imageUrl'::text AS image_url,
    unstuck_private.number_or_null(input ->> 'resolution'::text)::integer AS resolution,
    unstuck_private.number_or_null(input ->> 'detailDenoise'::text) AS detail_denoise,
    input ->> 'prompt'::text AS prompt,
    input ->> 'version'::text AS version,
    input ->> 'category'::text AS category,
    input ->> 'framingMode'::text AS framing_mode
   FROM unstuck.jobs j
  WHERE (tool IN ( SELECT t.tool
           FROM unstuck.tools t
          WHERE t.table_name = 'upscaler_jobs'::text));
create view unstuck.veste_ai_jobs with (security_invoker=true) as
 SELECT id,
    user_id,
    session_id,
    tool,
    unstuck_private.status_word('veste_ai_jobs'::text, status) AS status,
        CASE
            WHEN status = 'queued'::text THEN ((( SELECT unstuck_private.caller_positions() AS caller_positions)) ->> id::text)::integer
            ELSE NULL::integer
        END AS "position",
    ( SELECT s.provider_task_id
           FROM unstuck.job_steps s
          WHERE s.job_id = j.id AND s.provider_task_id IS NOT NULL
          ORDER BY s.step DESC
         LIMIT 1) AS task_id,
    COALESCE(input #>> '{personImageUrl}'::text[], input ->> 'input_file_name'::text) AS input_file_name,
    input #>> '{personImageUrl}'::text[] AS input_url,
    output_url,
    credits_charged AS user_credit_cost,
    credits_refunded,
    error_code,
    error_message,
    created_at,
    queued_at,
    started_at,
    completed_at,
    updated_at,
    waited_in_queue,
    input ->> 'personImageUrl'::text AS person_image_url,
    input ->> 'clothingImageUrl'::text AS clothing_image_url
   FROM unstuck.jobs j
  WHERE (tool IN ( SELECT t.tool
           FROM unstuck.tools t
          WHERE t.table_name = 'veste_ai_jobs'::text));
create view unstuck.video_upscaler_jobs with (security_invoker=true) as
 SELECT id,
    user_id,
    session_id,
    tool,
    unstuck_private.status_word('video_upscaler_jobs'::text, status) AS status,
        CASE
            WHEN status = 'queued'::text THEN ((( SELECT unstuck_private.caller_positions() AS caller_positions)) ->> id::text)::integer
            ELSE NULL::integer
        END AS "position",
    ( SELECT s.provider_task_id
           FROM unstuck.job_steps s
          WHERE s.job_id = j.id AND s.provider_task_id IS NOT NULL
          ORDER BY s.step DESC
         LIMIT 1) AS task_id,
    COALESCE(input #>> '{videoUrl}'::text[], input ->> 'input_file_name'::text) AS input_file_name,
    input #>> '{videoUrl}'::text[] AS input_url,
    output_url,
    credits_charged AS user_credit_cost,
    credits_refunded,
    error_code,
    error_message,
    created_at,
    queued_at,
    started_at,
    completed_at,
    updated_at,
    waited_in_queue,
    input ->> 'videoUrl'::text AS video_url,
    unstuck_private.number_or_null(input ->> 'width'::text)::integer AS width,
    unstuck_private.number_or_null(input ->> 'height'::text)::integer AS height,
    unstuck_private.number_or_null(input ->> 'durationSeconds'::text) AS duration_seconds
   FROM unstuck.jobs j
  WHERE (tool IN ( SELECT t.tool
           FROM unstuck.tools t
          WHERE t.table_name = 'video_upscaler_jobs'::text));
create view unstuck_private.delivered_outputs as
 SELECT s.job_id,
    s.step,
        CASE
            WHEN s.status = 'completed'::text AND (j.refund_rule = 'per_step'::text OR j.status = 'completed'::text) AND (j.user_id = (( SELECT auth.uid() AS uid)) OR ( SELECT unstuck_private.may_see(NULL::uuid) AS may_see)) THEN s.output_url
            ELSE NULL::text
        END AS output_url
   FROM unstuck.job_steps s
     JOIN unstuck.jobs j ON j.id = s.job_id;

-- functions
CREATE OR REPLACE FUNCTION public.cleanup_all_stale_ai_jobs()
 RETURNS TABLE(table_name text, cancelled_count integer, refunded_credits bigint)
 LANGUAGE sql
 SET search_path TO ''
AS $function$
    select *
    from unstuck.cleanup_all_stale_ai_jobs()
  $function$
;
CREATE OR REPLACE FUNCTION public.consume_upscaler_credits(_user_id uuid, _amount bigint, _description text)
 RETURNS TABLE(success boolean, new_balance bigint, error_message text)
 LANGUAGE sql
 SET search_path TO ''
AS $function$
    select *
    from unstuck.consume_upscaler_credits(_user_id, _amount, _description)
  $function$
;
CREATE OR REPLACE FUNCTION public.credit_grant_v1(p_user_id uuid, p_amount bigint, p_reason text, p_idempotency_key text)
 RETURNS TABLE(balance bigint, replayed boolean)
 LANGUAGE sql
 SET search_path TO ''
AS $function$
    select *
    from unstuck.credit_grant_v1(p_user_id, p_amount, p_reason, p_idempotency_key)
  $function$
;
CREATE OR REPLACE FUNCTION public.has_role(_user_id uuid, _role unstuck.app_role)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
    select unstuck.has_role(_user_id, _role)
  $function$
;
CREATE OR REPLACE FUNCTION public.refund_upscaler_credits(_user_id uuid, _amount bigint, _description text)
 RETURNS TABLE(success boolean, new_balance bigint, error_message text)
 LANGUAGE sql
 SET search_path TO ''
AS $function$
    select *
    from unstuck.refund_upscaler_credits(_user_id, _amount, _description)
  $function$
;
CREATE OR REPLACE FUNCTION unstuck.admin_log_read_v1(p_actor uuid, p_before bigint DEFAULT NULL::bigint, p_subject text DEFAULT NULL::text, p_act text DEFAULT NULL::text, p_limit integer DEFAULT 100)
 RETURNS TABLE(id bigint, at timestamp with time zone, actor uuid, act text, subject text, "from" jsonb, "to" jsonb, reason text)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
AS $function$
#variable_conflict use_column
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, null);
  return query
  select l.id, l.at, l.actor, l.act, l.subject, l."from", l."to", l.reason
  from unstuck.admin_log l
  where l.id < coalesce(p_before, 9223372036854775807)
    and (nullif(p_subject, '') is null or l.subject = p_subject)
    and (nullif(p_act, '') is null or l.act = p_act)
  order by l.id desc
  limit least(greatest(p_limit, 1), 500);
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.alerts_due_v1(p_quiet_from integer DEFAULT NULL::integer, p_quiet_to integer DEFAULT NULL::integer, p_repeat_minutes integer DEFAULT NULL::integer, p_limit integer DEFAULT 10)
 RETURNS TABLE(id uuid, body jsonb)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '5s'
AS $function$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.alerts_owe(
    'alerts',
    v_now,
    unstuck_private.quiet_until(v_now, p_quiet_from, p_quiet_to),
    nullif(p_repeat_minutes, 0) * interval '1 minute'
  );
  return query
  update unstuck.messages_owed m
  set tries = m.tries + 1,
    due_at = v_now + interval '1 minute'
  where m.id = any (array(
    select o.id
    from unstuck.messages_owed o
    where o.sent_at is null
      and o.due_at <= v_now
      and o.kind = 'alert'
    order by o.due_at
    limit least(greatest(p_limit, 1), 100)
    for update skip locked
  ))
  returning m.id, m.body;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.cleanup_all_stale_ai_jobs()
 RETURNS TABLE(table_name text, cancelled_count integer, refunded_credits bigint)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '55s'
AS $function$
#variable_conflict use_column
declare
  v_sweep bigint;
begin
  perform unstuck_private.refuse_other_deployment();
  insert into unstuck.sweeps (source)
  values ('sql')
  returning id into v_sweep;
  return query
  select x.table_name, x.cancelled_count, x.refunded_credits
  from unstuck_private.sweep_pass(v_sweep, 20000, interval '20 seconds') p
  cross join jsonb_to_recordset(p.tables)
    as x (table_name text, cancelled_count int, refunded_credits bigint);
  -- One transaction with the healing, which no failure of the report undoes.
  perform unstuck_private.sweep_finish(v_sweep);
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.consume_upscaler_credits(_user_id uuid, _amount bigint, _description text)
 RETURNS TABLE(success boolean, new_balance bigint, error_message text)
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select unstuck_private.refuse_other_deployment();
  select a.success, a.new_balance, a.error_message
  from unstuck_private.credit_adjust(_user_id, -greatest(_amount, 0), _description) a
$function$
;
CREATE OR REPLACE FUNCTION unstuck.credit_grant_admin_v1(p_actor uuid, p_user_id uuid, p_amount bigint, p_reason text, p_idempotency_key text)
 RETURNS TABLE(balance bigint, replayed boolean)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
AS $function$
#variable_conflict use_column
declare
  v_grant record;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, p_reason);
  perform unstuck_private.refuse_without_reason(p_reason);
  if p_user_id = unstuck_private.erased_user() then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  v_grant := unstuck_private.credit_grant_once(
    p_user_id, p_amount, 'goodwill', trim(p_reason), p_idempotency_key);
  if not v_grant.replayed then
    perform unstuck_private.admin_log_write(
      'credits_granted',
      p_user_id::text,
      jsonb_build_object('balance', v_grant.balance_before),
      jsonb_build_object('balance', v_grant.balance, 'amount', p_amount)
    );
  end if;
  return query select v_grant.balance, v_grant.replayed;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.credit_grant_v1(p_user_id uuid, p_amount bigint, p_reason text, p_idempotency_key text)
 RETURNS TABLE(balance bigint, replayed boolean)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as('service');
  return query
  select g.balance, g.replayed
  from unstuck_private.credit_grant_once(
    p_user_id, p_amount, 'grant', p_reason, p_idempotency_key) g;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.deployment_alarm_v1()
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '5s'
AS $function$
  insert into unstuck_private.deployment_alarms as a (id)
  select left(o.id, 200)
  from unstuck_private.other_deployment() as o (id)
  where o.id is not null
  on conflict (id) do update
  set
    last_at = clock_timestamp(),
    count = a.count + 1
$function$
;
CREATE OR REPLACE FUNCTION unstuck.doctor_v1()
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
AS $function$
begin
  return jsonb_build_object(
    'identity', (
      select to_jsonb(d)
      from unstuck_private.deployment d
    ),
    'storage', unstuck_private.storage_state(),
    'admins', unstuck_private.admins_count(),
    'migrations', (
      select jsonb_agg(m.name order by m.number)
      from unstuck_private.migrations m
    ),
    'events', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'function', e.function,
        'event', e.event,
        'seconds', extract(epoch from clock_timestamp() - e.at)
      )), '[]')
      from unstuck_private.events_seen e
    ),
    'health', (
      select to_jsonb(h)
      from unstuck.health_v2() h
    ),
    'published', exists (
      select from pg_catalog.pg_publication_tables t
      where t.pubname = 'supabase_realtime'
        and t.schemaname = 'unstuck'
        and t.tablename = 'jobs'
    ),
    'circuits', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'subject', o.subject,
        'reason', o.reason
      )), '[]')
      from (
        select p.provider as subject, p.circuit_reason as reason
        from unstuck.providers p
        where p.circuit_open_until is not null
        union all
        select t.tool, t.circuit_reason
        from unstuck.tools t
        where t.circuit_open_until is not null
      ) o
    ),
    'tools', (
      select coalesce(jsonb_agg(t.tool order by t.tool), '[]')
      from unstuck.tools t
      join unstuck.providers p using (provider)
      where t.enabled and p.enabled
    ),
    'packs', (
      select count(*)
      from unstuck.credit_packs c
      where c.enabled
    )
  );
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.ends_due_v1(p_limit integer DEFAULT 16)
 RETURNS TABLE(id uuid, body jsonb)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '5s'
AS $function$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.healer_mark('receiver', v_now);
  update unstuck.messages_owed m
  set given_up_at = v_now
  where m.id = any (array(
    select o.id
    from unstuck.messages_owed o
    where o.kind = 'job_end'
      and o.sent_at is null
      and o.given_up_at is null
      and o.created_at <= v_now - interval '1 day'
    limit 1000
    for update skip locked
  ));
  return query
  with claimed as (
    update unstuck.messages_owed m
    set tries = m.tries + 1,
      due_at = v_now + interval '1 minute'
    where m.id = any (array(
      select o.id
      from unstuck.messages_owed o
      where o.kind = 'job_end'
        and o.sent_at is null
        and o.given_up_at is null
        and o.due_at <= v_now
      order by o.due_at
      limit least(greatest(p_limit, 1), 100)
      for update skip locked
    ))
    returning m.id, m.body, m.created_at
  )
  select c.id, c.body
  from claimed c
  order by c.created_at, c.id;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.event_seen_v1(p_function text, p_event text)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '5s'
AS $function$
  select unstuck_private.refuse_other_deployment();

  insert into unstuck_private.events_seen as e (function, event)
  values (p_function, p_event)
  on conflict (function, event) do update
  set at = clock_timestamp();

  select unstuck_private.healer_mark('queues', clock_timestamp())
  where p_event = 'queue';
$function$
;
CREATE OR REPLACE FUNCTION unstuck.files_choose_v1(p_kind text, p_bucket text, p_objects jsonb, p_user_id uuid DEFAULT NULL::uuid)
 RETURNS TABLE(names jsonb, due integer)
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select unstuck_private.refuse_other_deployment();
  with listed as (
    select
      o.name,
      o.created_at,
      case when p.owner ~ u.form then p.owner::uuid end as owner,
      case when p.job ~ u.form and p.file <> '' then p.job::uuid end as job
    from jsonb_to_recordset(p_objects) as o (name text, created_at timestamptz)
    cross join (
      select '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' as form
    ) u
    cross join lateral (
      select
        split_part(o.name, '/', 1) as owner,
        split_part(o.name, '/', 2) as job,
        split_part(o.name, '/', 3) as file
    ) p
  ), known as (
    select
      l.*,
      exists (
        select from unstuck.jobs j
        where j.user_id = l.owner
          and unstuck_private.is_live(j.status)
      ) as is_held,
      exists (
        select from unstuck.jobs j
        where j.id = l.job
          and j.user_id = l.owner
      ) as is_of_job
    from listed l
  ), due as (
    select k.name, k.is_held
    from known k
    where case p_kind
      when 'erased' then
        k.owner = p_user_id
        and exists (
          select from unstuck.erasures e
          where e.user_id = p_user_id
            and (
              k.created_at < e.at
              -- Stored by a worker that had not heard of it.
              or p_bucket = 'results' and not k.is_of_job
            )
        )
      else
        p_kind = p_bucket
        and k.owner is not null
        and k.job is not null
        and not k.is_held
        and exists (
          select from unstuck.retention r
          where r.kind = case when k.is_of_job then '' else 'abandoned_' end || p_kind
            and k.created_at < clock_timestamp() - r.keep
        )
    end
  ), chosen as (
    select d.name
    from due d
    where not d.is_held
    -- Any of them, so that files which storage refuses to delete keep none of the others.
    order by random()
    limit 100
  )
  select
    (select coalesce(jsonb_agg(c.name order by c.name), '[]') from chosen c),
    (select count(*)::int from due)
$function$
;
CREATE OR REPLACE FUNCTION unstuck.files_deleted_v1(p_kind text, p_deleted integer, p_left integer, p_user_id uuid DEFAULT NULL::uuid, p_cursor text DEFAULT NULL::text, p_error text DEFAULT NULL::text)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select unstuck_private.refuse_other_deployment();
  insert into unstuck_private.file_walks as w (kind, cursor)
  select p_kind, p_cursor
  where p_user_id is null
  on conflict (kind) do update
  set cursor = excluded.cursor;
  update unstuck.erasures e
  set
    files_left = case
      when p_error is null then p_left
      -- Some were not counted: at least these are left, and none left is not known.
      else coalesce(nullif(p_left, 0), nullif(e.files_left, 0))
    end
  where e.user_id = p_user_id;
  insert into unstuck_private.retention_progress as p (kind, pruned, pruned_at, error, error_at)
  select
    p_kind,
    p_deleted,
    case when p_deleted > 0 then clock_timestamp() end,
    p_error,
    case when p_error is not null then clock_timestamp() end
  where p_deleted > 0
    or p_error is not null
  on conflict (kind) do update
  set
    pruned = p.pruned + excluded.pruned,
    pruned_at = coalesce(excluded.pruned_at, p.pruned_at),
    error = coalesce(excluded.error, p.error),
    error_at = coalesce(excluded.error_at, p.error_at);
$function$
;
CREATE OR REPLACE FUNCTION unstuck.files_due_v1()
 RETURNS TABLE(kind text, user_id uuid, cursor text)
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select unstuck_private.refuse_other_deployment();
  select k.kind, null::uuid, w.cursor
  from (
    select distinct replace(r.kind, 'abandoned_', '') as kind
    from unstuck.retention r
    where r.kind in ('uploads', 'abandoned_uploads', 'results')
      and r.keep is not null
  ) k
  left join unstuck_private.file_walks w using (kind)
  union all
  (
    select 'erased', e.user_id, null
    from unstuck.erasures e
    where e.files_left is distinct from 0
      -- A result that a worker was storing at that moment.
      or e.at > clock_timestamp() - interval '1 hour'
    -- No user whose files cannot be deleted keeps the others waiting.
    order by random()
    limit 1
  )
$function$
;
CREATE OR REPLACE FUNCTION unstuck.generation_get_v1(p_user_id uuid, p_tool text, p_job_id uuid)
 RETURNS TABLE(job_id uuid, status text, error_message text, retries integer, credits_refunded bigint, output_url text)
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
AS $function$
  select unstuck_private.refuse_other_deployment();
  select g.job_id, g.status, g.error_message, j.retries, g.credits_refunded,
    case when g.status = 'completed' then g.output_url end
  from unstuck.job_get_v1(p_job_id, p_user_id, p_tool) g
  join unstuck.jobs j on j.id = g.job_id
$function$
;
CREATE OR REPLACE FUNCTION unstuck.generation_put_back_v1(p_job_id uuid, p_run bigint)
 RETURNS TABLE(applied boolean)
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select unstuck_private.refuse_other_deployment();
  update unstuck.job_steps s
  set checked_at = null
  where s.job_id = p_job_id
    and s.run = p_run
    and s.status = 'running'
  returning true
$function$
;
CREATE OR REPLACE FUNCTION unstuck.generation_retry_v1(p_job_id uuid, p_tool text, p_user_id uuid DEFAULT NULL::uuid)
 RETURNS TABLE(outcome text, user_id uuid, status text, retries integer, refunded bigint, balance bigint)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
AS $function$
#variable_conflict use_column
declare
  v_job unstuck.jobs;
  v_step unstuck.job_steps;
  v_max int;
  v_now timestamptz;
  v_status text;
  v_refunded bigint := 0;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as(case when p_user_id is null then 'service' else 'user' end);
  v_job := unstuck_private.job_lock(p_job_id);
  if v_job.id is null
    or v_job.tool <> p_tool
    or v_job.user_id <> coalesce(p_user_id, v_job.user_id)
  then
    perform unstuck_private.refuse(404, 'not_found');
  end if;
  perform unstuck_private.refuse_final(v_job);
  select *
  into v_step
  from unstuck.job_steps s
  where s.job_id = p_job_id
    and s.step = 1
  for update;
  v_now := clock_timestamp();
  if not found
    or not unstuck_private.is_stale_attempt(v_step, v_now)
    or v_job.quarantined_at is not null
  then
    perform unstuck_private.refuse(
      409, 'in_progress',
      jsonb_build_object('status', unstuck_private.public_status(v_job.status)));
  end if;
  select t.attempt_max
  into v_max
  from unstuck.tools t
  where t.tool = p_tool;
  if greatest(v_step.attempts, v_job.retries + 1) >= v_max or v_job.expires_at <= v_now then
    select f.job_status, f.refunded
    into v_status, v_refunded
    from unstuck_private.website_fail(v_job, v_step) f;
  else
    perform unstuck_private.website_requeue(v_job, v_step, v_now);
  end if;
  return query
  select case when v_status is null then 'retried' else 'closed' end,
    j.user_id, j.status, j.retries, v_refunded,
    unstuck_private.balance_shown(j.user_id, j.tool)
  from unstuck.jobs j
  where j.id = p_job_id;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.generations_stale_v1(p_limit integer)
 RETURNS TABLE(job_id uuid, tool text, run bigint, retries integer, action text, refunded bigint, remaining integer)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '30s'
AS $function$
#variable_conflict use_column
declare
  v_until timestamptz := clock_timestamp() + interval '6 seconds';
  v_row record;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as('sweep');
  for v_row in
    select s.job_id, s.step,
      greatest(count(*) over () - p_limit, 0)::int as remaining
    from unstuck.job_steps s
    join unstuck.jobs j on j.id = s.job_id
    join unstuck.providers p on p.provider = s.provider
    where p.retried_by_function
      and s.status = 'running'
      and unstuck_private.is_stale_attempt(s, clock_timestamp())
      and not unstuck_private.is_reserved_attempt(s, clock_timestamp())
      and j.quarantined_at is null
    order by j.user_id, s.job_id
    limit greatest(p_limit, 0)
  loop
    exit when clock_timestamp() > v_until;
    continue when unstuck_private.jobs_try_lock(array[v_row.job_id]) = '{}';
    begin
      return query
      select v_row.job_id, s.tool, s.run, s.retries, s.action, s.refunded, v_row.remaining
      from unstuck_private.website_reserve_or_fail(v_row.job_id, v_row.step) s;
    exception
      when lock_not_available or transaction_rollback or insufficient_resources or system_error then
        null;
      when others then
        perform unstuck_private.jobs_quarantine(array[v_row.job_id], sqlerrm);
    end;
  end loop;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.has_role(_user_id uuid, _role unstuck.app_role)
 RETURNS boolean
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select coalesce(
    unstuck_private.host_has_role(_user_id, _role::text),
    exists (
      select from unstuck.user_roles r
      where r.user_id = _user_id and r.role = _role
    )
  )
$function$
;
CREATE OR REPLACE FUNCTION unstuck.health_v1()
 RETURNS TABLE(last_sweep_seconds integer, stuck integer, violations integer, wrong_deployment boolean)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select unstuck_private.seconds_between(s.finished_at, clock_timestamp()), s.stuck, s.violations,
    unstuck_private.is_deployment_wrong(clock_timestamp())
  from (select 1) one
  left join unstuck_private.sweep_newest() s on true
$function$
;
CREATE OR REPLACE FUNCTION unstuck.health_v2()
 RETURNS TABLE(last_sweep_seconds integer, stuck integer, violations integer, edge_seconds integer, sql_seconds integer, queues_seconds integer, degraded jsonb, wrong_deployment boolean)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select
    unstuck_private.seconds_between(s.finished_at, n.at),
    s.stuck,
    s.violations,
    unstuck_private.seconds_between(e.seen_at, n.at),
    unstuck_private.seconds_between(q.seen_at, n.at),
    unstuck_private.seconds_between(c.seen_at, n.at),
    (
      select coalesce(
        jsonb_agg(
          jsonb_build_object('code', w.code, 'subject', w.subject, 'message', w.words)
          order by w.subject),
        '[]')
      from unstuck_private.watched(n.at) w
      where w.is_bad
    ),
    unstuck_private.is_deployment_wrong(n.at)
  from (select clock_timestamp() as at) n
  left join unstuck_private.sweep_newest() s on true
  left join unstuck_private.healer_marks e on e.healer = 'edge'
  left join unstuck_private.healer_marks q on q.healer = 'sql'
  left join unstuck_private.healer_marks c on c.healer = 'queues'
$function$
;
CREATE OR REPLACE FUNCTION unstuck.job_cancel_admin_v1(p_actor uuid, p_table text, p_job_id uuid, p_reason text)
 RETURNS TABLE(status text, refunded_credits bigint, provider text)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
AS $function$
#variable_conflict use_column
declare
  v_reason text := nullif(trim(trailing '.' from trim(p_reason)), '');
  v_message text := 'cancelled by an admin' || coalesce(': ' || v_reason, '') || '.';
  v_job unstuck.jobs;
  v_refused text;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, p_reason);
  v_job := unstuck_private.job_lock(p_job_id);
  perform unstuck_private.refuse_other_table(v_job, p_table);
  perform unstuck_private.refuse_final(v_job);
  begin
    return query
    select c.status, c.refunded, t.provider
    from unstuck_private.jobs_finalise(
      array[p_job_id], array['cancelled'], array['CANCELLED'], array[v_message]) c
    join unstuck.tools t using (tool);
  exception when others then
    -- The account takes no refund. The job is cancelled all the same, and the event says why.
    v_refused := sqlerrm;
    return query
    select c.status, c.refunded, t.provider
    from unstuck_private.jobs_finalise(
      array[p_job_id], array['cancelled'], array['CANCELLED'],
      array[v_message || ' What is owed could not be returned.'], false) c
    join unstuck.tools t using (tool);
  end;
  perform unstuck_private.admin_cancel_record(v_job, v_refused);
  perform unstuck_private.admin_log_write(
    'job_cancelled',
    p_job_id::text,
    jsonb_build_object('status', v_job.status, 'refunded', v_job.credits_refunded),
    (
      select jsonb_build_object('status', j.status, 'refunded', j.credits_refunded)
      from unstuck.jobs j
      where j.id = p_job_id
    )
  );
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.job_cancel_v1(p_user_id uuid, p_table text, p_job_id uuid)
 RETURNS TABLE(status text, refunded_credits bigint, provider text)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
AS $function$
#variable_conflict use_column
declare
  v_job unstuck.jobs;
  v_tool unstuck.tools;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as('user');
  v_job := unstuck_private.job_lock(p_job_id);
  if v_job.user_id is distinct from p_user_id then
    v_job := null;
  end if;
  perform unstuck_private.refuse_other_table(v_job, p_table);
  select *
  into v_tool
  from unstuck.tools
  where tool = v_job.tool;
  if v_job.error_code = 'ORPHANED' then
    -- A sweep cancelled it, and its `/run` could adopt it: from now on its user cancelled it.
    perform unstuck_private.cancelled_requests_add(p_user_id, array[p_job_id]);
    update unstuck.jobs
    set error_code = 'CANCELLED',
      error_message = 'CANCELLED: cancelled by the user.'
    where id = p_job_id;
    return query
    select 'cancelled', 0::bigint, v_tool.provider;
    return;
  end if;
  perform unstuck_private.refuse_final(v_job);
  if v_job.quarantined_at is not null
    or v_job.status in ('starting', 'running') and not v_tool.user_cancel_running
  then
    perform unstuck_private.refuse(
      409, 'in_progress',
      jsonb_build_object('status', unstuck_private.public_status(v_job.status)));
  end if;
  perform unstuck_private.cancelled_requests_add(p_user_id, array[p_job_id]);
  begin
    return query
    select c.status, c.refunded, v_tool.provider
    from unstuck_private.jobs_finalise(
      array[p_job_id], array['cancelled'], array['CANCELLED'],
      array['cancelled by the user.']) c;
  exception when data_exception or integrity_constraint_violation then
    -- Its refund does not fit into a bigint: the next sweep quarantines it, and an admin cancels
    -- it.
    perform unstuck_private.refuse(
      409, 'in_progress',
      jsonb_build_object('status', unstuck_private.public_status(v_job.status)));
  end;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.job_cancel_v2(p_user_id uuid, p_job_id uuid)
 RETURNS TABLE(status text, refunded_credits bigint, provider text)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
AS $function$
declare
  v_table text;
begin
  perform unstuck_private.refuse_other_deployment();
  select t.table_name
  into v_table
  from unstuck.jobs j
  join unstuck.tools t using (tool)
  where j.id = p_job_id
    and j.user_id = p_user_id;
  if not found then
    perform unstuck_private.refuse(404, 'not_found');
  end if;
  return query
  select c.status, c.refunded_credits, c.provider
  from unstuck.job_cancel_v1(p_user_id, v_table, p_job_id) c;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.job_cancel_v3(p_user_id uuid, p_job_id uuid)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
AS $function$
declare
  v_table text;
  v_job unstuck.jobs;
begin
  perform unstuck_private.refuse_other_deployment();
  select t.table_name
  into v_table
  from unstuck.jobs j
  join unstuck.tools t using (tool)
  where j.id = p_job_id
    and j.user_id = p_user_id;
  if not found then
    perform unstuck_private.refuse(404, 'not_found');
  end if;
  perform unstuck.job_cancel_v1(p_user_id, v_table, p_job_id);
  select j.*
  into v_job
  from unstuck.jobs j
  where j.id = p_job_id;
  return unstuck_private.job_shown(v_job);
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.job_enqueue_v1(p_user_id uuid, p_job_id uuid, p_tool text, p_session_id text, p_input jsonb, p_request_hash text, p_steps jsonb)
 RETURNS TABLE(job_id uuid, status text, replayed boolean, credits_charged bigint, balance bigint, "position" integer, eta_seconds integer, task_id text, output_url text, error_code text, error_message text, credits_refunded bigint)
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
AS $function$
  select unstuck_private.refuse_other_deployment();
  select s.job_id, s.status, s.replayed, s.credits_charged, s.balance, s."position", s.eta_seconds,
    s.task_id, s.output_url, s.error_code, s.error_message, s.credits_refunded
  from unstuck.job_enqueue_v2(
    p_user_id, p_job_id, p_tool, p_session_id, p_input, p_request_hash, p_steps, false) s
$function$
;
CREATE OR REPLACE FUNCTION unstuck.job_enqueue_v2(p_user_id uuid, p_job_id uuid, p_tool text, p_session_id text, p_input jsonb, p_request_hash text, p_steps jsonb, p_claim boolean, p_max_credits bigint DEFAULT NULL::bigint, p_measured jsonb DEFAULT NULL::jsonb, p_can_measure boolean DEFAULT false)
 RETURNS TABLE(job_id uuid, status text, replayed boolean, credits_charged bigint, balance bigint, "position" integer, eta_seconds integer, task_id text, output_url text, error_code text, error_message text, credits_refunded bigint, claimed jsonb, unmeasured text)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  v_tool unstuck.tools;
  v_job unstuck.jobs;
  v_own record;
  v_price bigint;
  v_balance bigint;
  v_taken bigint;
  v_constraint text;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as('user');
  select t.*
  into v_tool
  from unstuck.tools t
  where t.tool = p_tool;
  if not found
    or num_nulls(p_user_id, p_job_id, nullif(p_request_hash, '')) > 0
    or jsonb_typeof(p_steps) is distinct from 'array'
    or jsonb_array_length(p_steps) not between 1 and 20
  then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  perform unstuck_private.account_lock(p_user_id);
  -- Replay comes first: the same id is the same order, whatever has become of its job.
  select j.*
  into v_job
  from unstuck.jobs j
  where j.id = p_job_id
  for update;
  if found then
    perform unstuck_private.refuse_other_order(v_job, p_user_id, p_tool, p_request_hash);
    if v_job.request_hash is not null then
      return query
      select s.*, case when p_claim then unstuck_private.order_claimed(p_job_id) end, null::text
      from unstuck_private.job_state(p_job_id) s;
      return;
    end if;
    perform unstuck_private.refuse_adoption(v_job);
  end if;
  perform unstuck_private.refuse_cancelled_request(p_user_id, p_job_id);
  if not v_tool.enabled then
    perform unstuck_private.refuse(503, 'tool_disabled');
  end if;
  perform unstuck_private.refuse_second_live_job(p_user_id, p_job_id, v_tool);
  v_own := unstuck_private.order_price(v_tool, p_input, jsonb_array_length(p_steps), p_measured);
  if v_own.unmeasured is not null and p_can_measure then
    return query
    select u.*
    from unstuck_private.order_unmeasured(p_job_id, v_own.unmeasured) u;
    return;
  end if;
  v_price := unstuck_private.price_agreed(p_user_id, p_tool, p_input, v_own.credits, p_max_credits);
  v_balance := unstuck_private.refuse_over_balance(p_user_id, p_tool, v_price);
  begin
    -- Some servers of the PostgREST protocol pass a null as ''.
    v_taken := unstuck_private.job_write(p_user_id, p_job_id, v_tool, nullif(p_session_id, ''),
      p_input, p_request_hash, p_steps, v_price, v_balance, null);
  exception when unique_violation then
    -- Another user took this id, or another writer inserted a live row, at the same moment.
    get stacked diagnostics v_constraint = constraint_name;
    perform unstuck_private.refuse_second_live_job(p_user_id, p_job_id, v_tool);
    perform unstuck_private.refuse(409, case when v_constraint = 'jobs_one_live_per_exclusive_key'
      then 'active_job_exists' else 'idempotency_conflict' end);
  end;
  perform unstuck_private.refuse_full_queue(p_job_id, v_tool);
  -- The reply shows the job as it was ordered.
  return query
  select p_job_id, 'queued', false, v_taken, v_balance - v_taken, null::int, null::int, null::text,
    null::text, null::text, null::text, 0::bigint,
    case when p_claim then unstuck_private.order_claim(p_job_id) end, null::text;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.job_get_v1(p_job_id uuid, p_user_id uuid DEFAULT NULL::uuid, p_tool text DEFAULT NULL::text, p_table text DEFAULT NULL::text)
 RETURNS TABLE(job_id uuid, tool text, table_name text, status text, "position" integer, eta_seconds integer, task_id text, output_url text, error_code text, error_message text, credits_charged bigint, credits_refunded bigint, balance bigint, total_steps integer, current_step integer, tasks jsonb)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
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
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.job_requeue_v1(p_actor uuid, p_table text, p_job_id uuid, p_charge boolean, p_new_job_id uuid, p_reason text DEFAULT NULL::text)
 RETURNS TABLE(job_id uuid, retried boolean, retry_of uuid, provider text)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
AS $function$
#variable_conflict use_column
declare
  v_job unstuck.jobs;
  v_retry record;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, p_reason);
  v_job := unstuck_private.job_lock(p_job_id);
  perform unstuck_private.refuse_other_table(v_job, p_table);
  v_retry := unstuck_private.job_retry(v_job, p_charge, p_new_job_id);
  if v_retry.is_new then
    perform unstuck_private.admin_log_write(
      'job_retried',
      p_job_id::text,
      jsonb_build_object('status', v_job.status),
      jsonb_build_object('job', v_retry.job_id, 'charge', coalesce(p_charge, false))
    );
  end if;
  return query
  select v_retry.job_id, v_retry.job_id = v_job.id, nullif(v_job.id, v_retry.job_id), t.provider
  from unstuck.tools t
  where t.tool = v_job.tool;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.job_show_v1(p_user_id uuid, p_job_id uuid)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  v_job unstuck.jobs;
begin
  perform unstuck_private.refuse_other_deployment();
  select j.*
  into v_job
  from unstuck.jobs j
  where j.id = p_job_id;
  if v_job.user_id is distinct from p_user_id then
    perform unstuck_private.refuse(404, 'not_found');
  end if;
  -- Heal first, so that a job that ran out of time is not shown as live.
  if unstuck_private.is_live(v_job.status) and v_job.deadline_at <= clock_timestamp() then
    perform unstuck.user_heal_v1(p_user_id);
    select j.*
    into v_job
    from unstuck.jobs j
    where j.id = p_job_id;
  end if;
  return unstuck_private.job_shown(v_job);
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.jobs_cancel_many_v1(p_actor uuid, p_filter jsonb, p_limit integer, p_reason text)
 RETURNS TABLE(matched integer, done integer, refused jsonb, refunded_credits bigint, providers text[])
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
AS $function$
#variable_conflict use_column
declare
  v_until timestamptz := clock_timestamp() + interval '6 seconds';
  v_message text := 'cancelled by an admin: ' || trim(trailing '.' from trim(p_reason)) || '.';
  v_live uuid[];
  v_locked uuid[];
  v_done uuid[];
  v_found record;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, p_reason);
  perform unstuck_private.refuse_wide_filter(p_filter, p_limit, p_reason);
  v_found := unstuck_private.jobs_matching(
    p_filter, array['pending', 'queued', 'starting', 'running'], false, p_limit);
  v_live := array(
    select j.id
    from unstuck.jobs j
    where j.id = any (v_found.ids) and unstuck_private.is_live(j.status)
  );
  v_locked := unstuck_private.jobs_try_lock(v_live);
  -- Under the locks: a job may have ended meanwhile.
  v_locked := array(
    select j.id
    from unstuck.jobs j
    where j.id = any (v_locked) and unstuck_private.is_live(j.status)
  );
  select
    coalesce(array_agg(c.job_id), '{}'),
    coalesce(sum(c.refunded), 0)::bigint,
    array_agg(distinct t.provider)
  into v_done, refunded_credits, providers
  from unstuck_private.jobs_finalise_each(
    v_locked,
    array_fill('cancelled'::text, array[cardinality(v_locked)]),
    array_fill('CANCELLED'::text, array[cardinality(v_locked)]),
    array_fill(v_message, array[cardinality(v_locked)]),
    v_until) c
  join unstuck.tools t using (tool);
  refused := unstuck_private.jobs_refused(p_filter, p_limit, v_found.ids, v_done, v_locked);
  if p_limit > 0 then
    perform unstuck_private.admin_log_write(
      'jobs_cancelled', null, p_filter,
      jsonb_build_object(
        'matched', v_found.total,
        'jobs', v_done,
        'refused', jsonb_array_length(refused),
        'refunded', refunded_credits
      )
    );
  end if;
  return query
  select v_found.total, cardinality(v_done), refused, refunded_credits,
    coalesce(providers, '{}');
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.jobs_list_v1(p_user_id uuid, p_cursor text DEFAULT NULL::text, p_status text DEFAULT NULL::text, p_limit integer DEFAULT 20)
 RETURNS TABLE(jobs jsonb, next text)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
declare
  v_limit int := least(greatest(p_limit, 1), 100);
  v_before timestamptz := 'infinity';
  v_id uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
  v_micros bigint;
  v_rows unstuck.jobs[];
begin
  perform unstuck_private.refuse_other_deployment();
  if p_status not in ('queued', 'running', 'completed', 'failed', 'cancelled') then
    perform unstuck_private.refuse(400, 'bad_request', jsonb_build_object('field', 'status'));
  end if;
  if p_cursor is not null then
    if p_cursor !~ '^000[0-7][0-9a-f]{44}$' then
      perform unstuck_private.refuse(400, 'bad_request', jsonb_build_object('field', 'cursor'));
    end if;
    v_micros := ('x' || left(p_cursor, 16))::bit(64)::bigint;
    v_before := 'epoch'::timestamptz + v_micros * interval '1 microsecond';
    v_id := right(p_cursor, 32)::uuid;
  end if;
  if unstuck_private.has_due_jobs(p_user_id, clock_timestamp()) then
    perform unstuck.user_heal_v1(p_user_id);
  end if;
  v_rows := array(
    select j
    from unstuck.jobs j
    where j.user_id = p_user_id
      and (j.created_at, j.id) < (v_before, v_id)
      and (p_status is null or unstuck_private.public_status(j.status) = p_status)
    order by j.created_at desc, j.id desc
    limit v_limit + 1
  );
  return query
  select
    (
      select coalesce(jsonb_agg(unstuck_private.job_shown(r) order by r.created_at desc, r.id desc),
        '[]')
      from unnest(v_rows[:v_limit]) r
    ),
    case
      when cardinality(v_rows) > v_limit then unstuck_private.list_cursor(v_rows[v_limit])
    end;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.jobs_requeue_many_v1(p_actor uuid, p_filter jsonb, p_limit integer, p_reason text)
 RETURNS TABLE(matched integer, done integer, refused jsonb, jobs jsonb, providers text[])
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
AS $function$
#variable_conflict use_column
declare
  v_until timestamptz := clock_timestamp() + interval '6 seconds';
  v_found record;
  v_next record;
  v_job unstuck.jobs;
  v_retry record;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, p_reason);
  perform unstuck_private.refuse_wide_filter(p_filter, p_limit, p_reason);
  v_found := unstuck_private.jobs_matching(p_filter, array['failed'], true, p_limit);
  refused := unstuck_private.jobs_refused(p_filter, p_limit, '{}', '{}', '{}');
  jobs := '[]';
  providers := '{}';
  -- Accounts are locked in the order of their ids, like everywhere. One that is held is left alone:
  -- two that were waited for would take the time of all.
  for v_next in
    select j.id, t.provider
    from unstuck.jobs j
    join unstuck.tools t using (tool)
    where j.id = any (v_found.ids)
    order by j.user_id, j.created_at, j.id
  loop
    exit when clock_timestamp() > v_until;
    begin
      if unstuck_private.jobs_try_lock(array[v_next.id]) = '{}' then
        perform unstuck_private.refuse(409, 'in_progress');
      end if;
      v_job := unstuck_private.job_lock(v_next.id);
      v_retry := unstuck_private.job_retry(v_job, false, gen_random_uuid());
      jobs := jobs || jsonb_build_object('of', v_next.id, 'jobId', v_retry.job_id);
      if v_next.provider <> all (providers) then
        providers := providers || v_next.provider;
      end if;
    exception when others then
      refused := refused || jsonb_build_object(
        'jobId', v_next.id,
        'code', case
          when sqlstate like 'PT%' then sqlerrm
          when sqlstate = '55P03' then 'in_progress'
          else 'internal'
        end
      );
    end;
  end loop;
  if p_limit > 0 then
    perform unstuck_private.admin_log_write(
      'jobs_retried', null, p_filter,
      jsonb_build_object(
        'matched', v_found.total, 'jobs', jobs, 'refused', jsonb_array_length(refused)
      )
    );
  end if;
  return query
  select v_found.total, jsonb_array_length(jobs), refused, jobs, providers;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.jobs_sweep_v1(p_sweep_id bigint, p_limit integer)
 RETURNS TABLE(cleaned integer, refunded_credits bigint, requeued integer, remaining integer, tables jsonb)
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '55s'
AS $function$
  select unstuck_private.refuse_other_deployment();
  select p.*
  from unstuck_private.sweep_pass(p_sweep_id, p_limit, interval '6 seconds') p
$function$
;
CREATE OR REPLACE FUNCTION unstuck.message_sent_v1(p_id uuid, p_is_taken boolean, p_delay_ms integer DEFAULT NULL::integer)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select unstuck_private.refuse_other_deployment();

  update unstuck.messages_owed m
  set sent_at = case when p_is_taken then clock_timestamp() end,
    due_at = case
      when p_is_taken then m.due_at
      else clock_timestamp() + least(
        greatest(
          coalesce(p_delay_ms, 0) * interval '1 millisecond',
          interval '15 seconds' * 2 ^ least(m.tries, 10)
        ),
        case m.kind when 'alert' then interval '5 minutes' else interval '1 hour' end
      )
    end
  where m.id = p_id
    and m.sent_at is null
$function$
;
CREATE OR REPLACE FUNCTION unstuck.metrics_v1()
 RETURNS TABLE(name text, labels jsonb, value double precision)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '5s'
AS $function$
  select c.name, c.labels, c.value::double precision
  from unstuck_private.counters c
  union all
  select g.name, g.labels, g.value
  from unstuck_private.gauges(clock_timestamp()) g
$function$
;
CREATE OR REPLACE FUNCTION unstuck.order_quote_v1(p_tool text, p_input jsonb, p_steps integer, p_user_id uuid DEFAULT NULL::uuid, p_measured jsonb DEFAULT NULL::jsonb)
 RETURNS TABLE(credits bigint, balance bigint, enough boolean, eta_seconds integer, unmeasured text, lowest bigint, waits boolean)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  v_tool unstuck.tools;
  v_unlimited boolean;
begin
  select t.*
  into v_tool
  from unstuck.tools t
  where t.tool = p_tool;
  if not found or p_steps is null or p_steps not between 1 and 20 then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  if not v_tool.enabled then
    perform unstuck_private.refuse(503, 'tool_disabled');
  end if;
  select p.credits, p.unmeasured, p.lowest
  into credits, unmeasured, lowest
  from unstuck_private.order_price(v_tool, p_input, p_steps, coalesce(p_measured, '{}')) p;
  eta_seconds := unstuck_private.seconds_until_start(v_tool);
  waits := p_user_id is not null and unstuck_private.credits_wait(p_user_id);
  if p_user_id is not null then
    credits := unstuck_private.wallet_price(p_user_id, p_tool, p_input, credits);
    lowest := unstuck_private.wallet_price(p_user_id, p_tool, p_input, lowest);
    select w.balance, w.unlimited
    into balance, v_unlimited
    from unstuck_private.wallet_lock(p_user_id, p_tool, null) w;
    balance := coalesce(balance, 0);
    if v_unlimited then
      credits := 0;
      lowest := 0;
    end if;
    enough := (balance >= credits or v_unlimited is true)
      and unstuck_private.debt_open(p_user_id) = 0;
  end if;
  return next;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.prices_change_v1(p_actor uuid, p_change jsonb DEFAULT NULL::jsonb, p_reason text DEFAULT NULL::text)
 RETURNS TABLE(tool text, rule jsonb)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
AS $function$
#variable_conflict use_column
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, p_reason);
  if p_change is not null then
    perform unstuck_private.refuse_without_reason(p_reason);
    perform unstuck_private.price_rule_change(p_change);
  end if;
  return query
  select
    p.tool,
    jsonb_build_object(
      'tool', p.tool,
      'position', p.position,
      'matches', p.matches,
      'credits', p.credits,
      'pricedPer', p.priced_per,
      'quantity', p.quantity,
      'creditsMin', p.credits_min,
      'note', p.note
    )
  from unstuck.tool_prices p
  order by p.tool, p.position;
exception
  when check_violation or numeric_value_out_of_range or invalid_text_representation
    or not_null_violation or foreign_key_violation
  then
    perform unstuck_private.refuse(400, 'bad_request');
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.provider_alarm_v1(p_provider text, p_tool text, p_about text, p_code text, p_detail text)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '5s'
AS $function$
declare
  -- Some servers of the PostgREST protocol pass a null as ''.
  v_tool text := nullif(p_tool, '');
  v_about text := nullif(p_about, '');
  v_code text := left(p_code, 200);
  v_detail text := left(nullif(p_detail, ''), 500);
  v_now timestamptz;
  v_until timestamptz;
begin
  perform unstuck_private.refuse_other_deployment();
  if coalesce(v_code, '') = ''
    or not exists (select from unstuck.providers p where p.provider = p_provider)
  then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  -- Two equal alarms become one row. Claims need the provider's own row, and most alarms do not.
  perform pg_advisory_xact_lock(hashtextextended(p_provider || ' ' || v_code, 0));
  v_now := clock_timestamp();
  v_until := v_now + unstuck_private.circuit_pause();
  update unstuck.provider_alarms a
  set count = a.count + 1,
    last_at = v_now,
    detail = v_detail
  where a.provider = p_provider
    and a.tool is not distinct from v_tool
    and a.code = v_code
    and a.at > v_now - interval '1 hour';
  if not found then
    insert into unstuck.provider_alarms (at, last_at, provider, tool, code, detail)
    values (v_now, v_now, p_provider, v_tool, v_code, v_detail);
  end if;
  -- A fault while the circuit is open moves no time: the claim of each trial has set it.
  if v_about in ('account', 'place') then
    update unstuck.providers p
    set account_faults = least(p.account_faults, 999999) + 1,
      circuit_open_until = case
        when p.account_faults >= 2 then coalesce(p.circuit_open_until, v_until)
        else p.circuit_open_until
      end,
      circuit_opened_at = case
        when p.account_faults >= 2 then coalesce(p.circuit_opened_at, v_now)
        else p.circuit_opened_at
      end,
      circuit_reason = case when p.account_faults >= 2 then v_about else p.circuit_reason end
    where p.provider = p_provider;
  elsif v_about = 'app' then
    update unstuck.tools t
    set account_faults = least(t.account_faults, 999999) + 1,
      circuit_open_until = case
        when t.account_faults >= 2 then coalesce(t.circuit_open_until, v_until)
        else t.circuit_open_until
      end,
      circuit_opened_at = case
        when t.account_faults >= 2 then coalesce(t.circuit_opened_at, v_now)
        else t.circuit_opened_at
      end,
      circuit_reason = case when t.account_faults >= 2 then v_about else t.circuit_reason end
    where t.tool = v_tool;
  end if;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.provider_balance_v1(p_provider text, p_amounts jsonb)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select unstuck_private.refuse_other_deployment();

  insert into unstuck_private.provider_balances as b (provider, amounts, told_at)
  select p.provider, p_amounts, clock_timestamp()
  from unstuck.providers p
  where p.provider = p_provider
    and jsonb_typeof(p_amounts) = 'object'
  on conflict (provider) do update
  set amounts = excluded.amounts,
    told_at = excluded.told_at
$function$
;
CREATE OR REPLACE FUNCTION unstuck.providers_change_v1(p_actor uuid, p_change jsonb DEFAULT NULL::jsonb, p_reason text DEFAULT NULL::text)
 RETURNS TABLE(provider text, settings jsonb)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
AS $function$
#variable_conflict use_column
declare
  v_old unstuck.providers;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, p_reason);
  if p_change is not null then
    select *
    into v_old
    from unstuck.providers p
    where p.provider = p_change ->> 'provider'
    for no key update;
    if not found then
      perform unstuck_private.refuse(404, 'not_found');
    end if;
    update unstuck.providers p
    set enabled = coalesce((p_change ->> 'enabled')::boolean, p.enabled),
      max_concurrent = coalesce((p_change ->> 'maxConcurrent')::int, p.max_concurrent),
      balance_least = coalesce(nullif(p_change -> 'balanceLeast', 'null'), p.balance_least)
    where p.provider = v_old.provider;
    if (p_change ->> 'closeCircuit')::boolean and v_old.circuit_open_until is not null then
      update unstuck.providers p
      set circuit_open_until = null
      where p.provider = v_old.provider;
      perform unstuck_private.admin_log_write(
        'circuit_closed',
        v_old.provider,
        jsonb_build_object('reason', v_old.circuit_reason),
        null
      );
    end if;
  end if;
  return query
  select p.provider, unstuck_private.provider_settings(p)
  from unstuck.providers p
  order by p.provider;
exception when check_violation or numeric_value_out_of_range or invalid_text_representation then
  perform unstuck_private.refuse(400, 'bad_request');
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.purchase_checkout_v1(p_user_id uuid, p_pack text)
 RETURNS TABLE(pack text, credits bigint, price_id text, recurring boolean, email text)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  return query
  select c.pack, c.credits, c.price_id, c.recurring,
    (unstuck_private.auth_user(p_user_id, null)).confirmed_email
  from unstuck.credit_packs c
  where c.pack = p_pack
    and c.enabled;
  if not found then
    perform unstuck_private.refuse(404, 'not_found');
  end if;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.purchase_record_v1(p_seller text, p_fact jsonb)
 RETURNS TABLE(granted bigint, taken bigint, replayed boolean, user_id uuid, reason text)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET lock_timeout TO '5s'
AS $function$
#variable_conflict use_column
declare
  v_fact jsonb;
  v_keys text[];
  v_ids uuid[];
  v_is_new boolean;
  v_settled record;
begin
  perform unstuck_private.refuse_other_deployment();
  v_fact := unstuck_private.purchase_fact(p_fact);
  v_keys := array(
    select distinct k.key collate "C"
    from jsonb_array_elements_text(p_fact -> 'keys') as k (key)
    order by 1
  );
  if coalesce(p_seller, '') = '' then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  perform unstuck_private.act_as('seller:' || p_seller);
  v_ids := unstuck_private.purchases_lock(p_seller, v_keys);
  if v_ids = '{}' then
    v_ids := array[gen_random_uuid()];
    insert into unstuck.purchases (id, seller, keys, ids)
    values (v_ids[1], p_seller, v_keys, v_ids);
  elsif cardinality(v_ids) > 1 then
    perform unstuck_private.purchases_join(v_ids);
  end if;
  update unstuck.purchases p
  set
    keys = array(select distinct unnest(p.keys || v_keys) collate "C" order by 1),
    facts = n.facts
  from unstuck.purchases o
  cross join lateral unstuck_private.purchase_facts_with(
    o.facts,
    unstuck_private.purchase_fact_kept(
      o.facts,
      case when o.user_id = unstuck_private.erased_user()
        then v_fact - array['userId', 'email']
        else v_fact
      end
    )
  ) as n (facts)
  where o.id = v_ids[1]
    and p.id = o.id
    and (n.facts <> o.facts or not o.keys @> v_keys);
  v_is_new := found or cardinality(v_ids) > 1;
  v_settled := unstuck_private.purchase_settle(v_ids[1]);
  return query
  select v_settled.granted, v_settled.taken,
    not v_is_new and v_settled.granted = 0 and v_settled.taken = 0,
    nullif(v_settled.user_id, unstuck_private.erased_user()),
    case
      when p.waits then 'waits_for_user'
      when p.credits = 0 and p.facts @> '[{"paid": true}]' then 'unknown_pack'
    end
  from unstuck.purchases p
  where p.id = v_ids[1];
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.queue_check_v1(p_provider text)
 RETURNS TABLE(max_concurrent integer, running integer, slots_available integer, total_queued integer, queued_by_tool jsonb, oldest_queued_seconds integer, last_sweep_at timestamp with time zone, enabled boolean)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  with live as (
    select count(*)::int as running
    from unstuck.job_steps s
    where s.provider = p_provider
      and unstuck_private.holds_slot(s)
  ),
  waiting as (
    select
      j.tool,
      count(*)::int as jobs,
      min(coalesce(j.queued_at, j.created_at)) as since
    from unstuck.jobs j
    join unstuck.tools t using (tool)
    where t.provider = p_provider
      and j.status = 'queued'
      and j.quarantined_at is null
    group by j.tool
  )
  select
    p.max_concurrent,
    l.running,
    greatest(unstuck_private.slot_limit(p, clock_timestamp()) - l.running, 0),
    coalesce(w.total, 0),
    coalesce(w.by_tool, '{}'),
    unstuck_private.seconds_between(w.since, clock_timestamp()),
    (select max(s.finished_at) from unstuck.sweeps s),
    p.enabled and coalesce(p.circuit_open_until <= clock_timestamp(), true)
  from unstuck.providers p
  cross join live l
  cross join (
    select
      sum(jobs)::int as total,
      jsonb_object_agg(tool, jobs) as by_tool,
      min(since) as since
    from waiting
  ) w
  where p.provider = p_provider
$function$
;
CREATE OR REPLACE FUNCTION unstuck.refund_upscaler_credits(_user_id uuid, _amount bigint, _description text)
 RETURNS TABLE(success boolean, new_balance bigint, error_message text)
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select unstuck_private.refuse_other_deployment();
  select a.success, a.new_balance, a.error_message
  from unstuck_private.credit_adjust(_user_id, greatest(_amount, 0), _description) a
$function$
;
CREATE OR REPLACE FUNCTION unstuck.session_cancel_v1(p_user_id uuid, p_session_id text, p_job_ids uuid[])
 RETURNS TABLE(table_name text, job_id uuid, refunded_credits bigint)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
AS $function$
#variable_conflict use_column
declare
  v_ids uuid[];
  v_coming uuid[];
  v_count int;
begin
  perform unstuck_private.refuse_other_deployment();
  if p_user_id is null
    or coalesce(p_session_id, '') = ''
    or cardinality(p_job_ids) > 100
  then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  perform unstuck_private.act_as('user');
  perform unstuck_private.account_lock(p_user_id);
  perform unstuck_private.wallet_hold(p_user_id, null);
  select array_agg(l.id)
  into v_ids
  from (
    select j.id
    from unstuck.jobs j
    where j.user_id = p_user_id
      and j.status in ('pending', 'queued')
      and j.quarantined_at is null
      and (j.session_id = p_session_id or j.id = any (p_job_ids))
    order by j.id
    for update
  ) l;
  -- A named job that has not arrived yet is refused when it does. One that runs, or that belongs to
  -- another user, is left alone.
  v_coming := array(
    select x.id
    from unnest(p_job_ids) as x (id)
    where not exists (
      select from unstuck.jobs j
      where j.id = x.id and not (j.status = 'cancelled' and j.error_code = 'ORPHANED')
    )
  );
  if not unstuck_private.cancelled_requests_add(p_user_id, v_coming) then
    perform unstuck_private.refuse(
      429,
      'rate_limited',
      jsonb_build_object('retry_after', unstuck_private.cancelled_requests_full_for(p_user_id))
    );
  end if;
  if v_ids is null then
    return;
  end if;
  -- Their own rows keep these cancelled, so a full list keeps no job alive.
  perform unstuck_private.cancelled_requests_add(p_user_id, v_ids);
  v_count := cardinality(v_ids);
  return query
  select t.table_name, c.job_id, c.refunded
  from unstuck_private.jobs_finalise_each(
    v_ids,
    array_fill('cancelled'::text, array[v_count]),
    array_fill('CANCELLED'::text, array[v_count]),
    array_fill('the page was closed.'::text, array[v_count]),
    clock_timestamp() + interval '5 seconds'
  ) c
  join unstuck.tools t using (tool);
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.session_leave_v1(p_user_id uuid, p_session_id text, p_grace_seconds integer)
 RETURNS TABLE(cancel_at timestamp with time zone)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
AS $function$
begin
  perform unstuck_private.refuse_other_deployment();
  if p_grace_seconds is null or p_grace_seconds not between 0 and 300 then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  return query
  select unstuck_private.session_word(
    p_user_id, p_session_id, make_interval(secs => p_grace_seconds), false);
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.session_stay_v1(p_user_id uuid, p_session_id text)
 RETURNS TABLE(cancel_at timestamp with time zone)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
AS $function$
begin
  perform unstuck_private.refuse_other_deployment();
  return query
  select unstuck_private.session_word(
    p_user_id, p_session_id, unstuck_private.session_silence(), true);
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.settings_compared_v1(p_differing text[])
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select unstuck_private.refuse_other_deployment();

  delete from unstuck_private.settings_differing d
  where d.name <> all (p_differing);

  insert into unstuck_private.settings_differing (name)
  select unnest(p_differing)
  on conflict do nothing
$function$
;
CREATE OR REPLACE FUNCTION unstuck.step_cancelled_v1(p_job_id uuid, p_step integer, p_task_id text)
 RETURNS TABLE(remaining integer)
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select unstuck_private.refuse_other_deployment();
  select unstuck_private.act_as('worker');
  update unstuck.job_steps s set
    provider_cancel_due = unstuck_private.cancel_debt_without(s.provider_cancel_due, p_task_id)
  where s.job_id = p_job_id
    and s.step = p_step
  returning jsonb_array_length(s.provider_cancel_due)
$function$
;
CREATE OR REPLACE FUNCTION unstuck.step_checked_v1(p_job_id uuid, p_step integer, p_run bigint, p_answer text)
 RETURNS TABLE(outcome text, refunded bigint)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
AS $function$
declare
  v_job unstuck.jobs;
  v_step unstuck.job_steps;
  v_grace interval;
  v_now timestamptz;
  v_minutes int;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as('sweep');
  if p_answer not in ('running', 'no_answer') then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  begin
    v_job := unstuck_private.job_lock(p_job_id);
    v_step := unstuck_private.step_lock(p_job_id, p_step, p_run);
  exception when lock_not_available then
    return query
    select 'waiting', 0::bigint;
    return;
  end;
  if v_step.job_id is null or v_step.provider_done_at is not null then
    return query
    select 'stale', 0::bigint;
    return;
  end if;
  v_now := clock_timestamp();
  select i.grace
  into v_grace
  from unstuck_private.intervals() i;
  update unstuck.job_steps s set
    checked_at = v_now
  where s.job_id = p_job_id
    and s.step = p_step;
  if v_step.deadline_at > v_now
    or (
      p_answer = 'no_answer'
      and v_step.provider_task_id is not null
      and v_step.deadline_at + v_grace > v_now
    )
  then
    return query
    select 'waiting', 0::bigint;
    return;
  end if;
  v_minutes := unstuck_private.minutes_between(
    coalesce(v_step.sent_at, v_step.started_at, v_job.created_at),
    v_now
  );
  return query
  select 'failed', f.refunded
  from unstuck_private.step_fail_or_quarantine(
    v_job,
    p_step,
    'TIMEOUT',
    format('no result after %s.', unstuck_private.minutes_text(v_minutes))
  ) f;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.step_claim_v1(p_provider text, p_limit integer)
 RETURNS TABLE(job_id uuid, step integer, run bigint, tool text, user_id uuid, attempts integer, input jsonb, previous_output_url text, run_ms integer)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  v_provider unstuck.providers;
  v_live int;
  v_free int;
  v_claimed int;
  v_now timestamptz;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as('worker');
  -- Slots are counted from rows under this lock. An ordinary `for update` would block the foreign
  -- keys' checks and deadlock with enqueue.
  select p.*
  into v_provider
  from unstuck.providers p
  where p.provider = p_provider
  for no key update;
  if not found or not v_provider.enabled then
    return;
  end if;
  v_now := clock_timestamp();
  select count(*)
  into v_live
  from unstuck.job_steps s
  where s.provider = p_provider
    and unstuck_private.holds_slot(s);
  v_free := least(
    unstuck_private.slot_limit(v_provider, v_now) - v_live,
    greatest(p_limit, 0));
  -- An open circuit lets one step through a minute.
  if v_provider.circuit_open_until is not null then
    v_free := least(v_free, (v_provider.circuit_open_until <= v_now)::int);
  end if;
  if v_free <= 0 then
    return;
  end if;
  perform unstuck_private.owed_turns_give(p_provider);
  -- A turn that was given just now counts too.
  v_now := clock_timestamp();
  return query
  select *
  from unstuck_private.steps_claim(
    v_provider, v_now, unstuck_private.steps_pick(p_provider, v_now, v_free));
  get diagnostics v_claimed = row_count;
  if v_claimed > 0 then
    perform unstuck_private.circuit_trial(p_provider, v_now);
  end if;
  -- One of them is a probe beyond the learned limit: the next probe waits for its answer.
  if v_live + v_claimed > v_provider.learned_limit then
    update unstuck.providers p
    set limit_probe_at = v_now + unstuck_private.probe_pause(true)
    where p.provider = p_provider;
  end if;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.step_complete_v1(p_job_id uuid, p_step integer, p_run bigint, p_output jsonb, p_output_url text)
 RETURNS TABLE(outcome text, job_status text, refunded bigint)
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
AS $function$
  select unstuck_private.refuse_other_deployment();
  select s.outcome, s.job_status, s.refunded
  from unstuck.step_complete_v2(p_job_id, p_step, p_run, p_output, p_output_url) s
$function$
;
CREATE OR REPLACE FUNCTION unstuck.step_complete_v2(p_job_id uuid, p_step integer, p_run bigint, p_output jsonb, p_output_url text)
 RETURNS TABLE(outcome text, job_status text, refunded bigint, may_start integer)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  v_job unstuck.jobs;
  v_step unstuck.job_steps;
  v_now timestamptz;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as('worker');
  v_job := unstuck_private.job_lock(p_job_id);
  v_step := unstuck_private.step_lock(p_job_id, p_step, p_run);
  if v_step.status is distinct from 'running' then
    return query
    select
      case
        when exists (
          select from unstuck.job_steps s
          where s.job_id = p_job_id
            and s.step = p_step
            and s.run >= p_run
            and unstuck_private.is_final(s.status)
        ) then 'late'
        else 'stale'
      end,
      v_job.status,
      0::bigint,
      0;
    return;
  end if;
  v_now := clock_timestamp();
  update unstuck.job_steps s set
    status = 'completed',
    completed_at = v_now,
    provider_done_at = coalesce(s.provider_done_at, v_now),
    lease_until = null,
    output = coalesce(p_output, s.output),
    output_url = p_output_url,
    error_code = null,
    error_message = null
  where s.job_id = p_job_id
    and s.step = p_step;
  perform unstuck_private.circuit_close(v_step, true);
  perform unstuck_private.webhooks_apply(p_job_id, p_step, p_run);
  if not exists (
    select from unstuck.job_steps s
    where s.job_id = p_job_id
      and not unstuck_private.is_final(s.status)
  ) then
    return query
    select 'completed', c.status, c.refunded, unstuck_private.may_start(v_step.provider)
    from unstuck_private.jobs_finalise(
      array[p_job_id],
      array['completed'],
      array[null::text],
      array[null::text],
      p_output => p_output,
      p_output_url => p_output_url
    ) c;
    return;
  end if;
  -- Let a chain's next step queue. Restart the queue TTL of queued siblings: it is paused while
  -- another step of the job works.
  update unstuck.job_steps s set
    status = 'queued',
    deadline_at = least(v_now + t.queue_ttl, v_job.expires_at)
  from unstuck.tools t
  where s.job_id = p_job_id
    and (s.status = 'queued' or (s.step = p_step + 1 and s.status = 'blocked'))
    and t.tool = v_job.tool;
  perform unstuck_private.job_sync_from_steps(array[p_job_id]);
  return query
  select 'completed', 'running', 0::bigint, unstuck_private.may_start(v_step.provider);
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.step_done_v1(p_job_id uuid, p_step integer, p_run bigint, p_task_id text, p_output jsonb)
 RETURNS TABLE(outcome text, run bigint, result jsonb)
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
AS $function$
  select unstuck_private.refuse_other_deployment();
  select s.outcome, s.run, s.result
  from unstuck.step_done_v2(p_job_id, p_step, p_run, p_task_id, p_output) s
$function$
;
CREATE OR REPLACE FUNCTION unstuck.step_done_v2(p_job_id uuid, p_step integer, p_run bigint, p_task_id text, p_output jsonb)
 RETURNS TABLE(outcome text, run bigint, result jsonb, may_start integer)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  v_step unstuck.job_steps;
  v_expires timestamptz;
  v_older boolean;
  v_same boolean;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as('worker');
  select j.expires_at
  into v_expires
  from unstuck.jobs j
  where j.id = p_job_id
  for update;
  select s.*
  into v_step
  from unstuck.job_steps s
  where s.job_id = p_job_id
    and s.step = p_step
  for update;
  if not found
    or p_run > v_step.run
    or v_step.status = 'blocked'
    or unstuck_private.is_task_of_other_step(v_step, p_task_id)
    or unstuck_private.is_task_of_other_run(v_step, p_run, p_task_id)
  then
    return query
    select 'stale', p_run, null::jsonb, 0;
    return;
  end if;
  if unstuck_private.is_final(v_step.status) then
    if v_step.status <> 'completed' then
      perform unstuck_private.step_record_late_success(v_step, p_run, p_task_id, p_output);
    end if;
    return query
    select 'late', p_run, null::jsonb, 0;
    return;
  end if;
  v_older := p_run < v_step.run;
  v_same := coalesce(v_step.provider_task_id, p_task_id)
    is not distinct from coalesce(p_task_id, v_step.provider_task_id);
  -- Stale: no worker has claimed the step yet; or its run has another task; or another worker
  -- copies the result; or the result of another task was taken.
  if v_step.run = 0
    or (not v_older and not v_same)
    or (
      v_step.provider_done_at is not null
      and (v_step.lease_until > clock_timestamp() or not v_same)
    )
  then
    return query
    select 'stale', v_step.run, null::jsonb, 0;
    return;
  end if;
  p_run := unstuck_private.step_take_success(v_step, v_older, p_task_id, p_output, v_expires);
  perform unstuck_private.job_sync_from_steps(array[p_job_id]);
  return query
  select 'copy', p_run, v_step.input -> 'result',
    unstuck_private.may_start(v_step.provider);
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.step_fail_v1(p_job_id uuid, p_step integer, p_run bigint, p_error_code text, p_error_message text)
 RETURNS TABLE(outcome text, job_status text, refunded bigint)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  v_job unstuck.jobs;
  v_step unstuck.job_steps;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as('worker');
  v_job := unstuck_private.job_lock(p_job_id);
  v_step := unstuck_private.step_lock(p_job_id, p_step, p_run);
  if v_step.job_id is null then
    return query
    select 'stale', v_job.status, 0::bigint;
    return;
  end if;
  -- The provider says that the task ended, so no cancel is owed for it.
  update unstuck.job_steps s set
    provider_done_at = coalesce(s.provider_done_at, clock_timestamp())
  where s.job_id = p_job_id
    and s.step = p_step;
  return query
  select 'failed', f.job_status, f.refunded
  from unstuck_private.step_fail_or_quarantine(v_job, p_step, p_error_code, p_error_message) f;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.step_get_v1(p_job_id uuid, p_step integer)
 RETURNS TABLE(job_id uuid, step integer, run bigint, tool text, provider text, user_id uuid, job_status text, status text, task_id text, done boolean, sent boolean, output jsonb)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  return query
  select
    s.job_id,
    s.step,
    s.run,
    j.tool,
    s.provider,
    j.user_id,
    j.status,
    s.status,
    s.provider_task_id,
    s.provider_done_at is not null,
    s.sent_at is not null,
    s.output
  from unstuck.job_steps s
  join unstuck.jobs j on j.id = s.job_id
  where s.job_id = p_job_id
    and s.step = p_step;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.step_heartbeat_v1(p_job_id uuid, p_step integer, p_run bigint)
 RETURNS TABLE(applied boolean, lease_ms integer)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '5s'
AS $function$
declare
  v_lease timestamptz;
  v_now timestamptz;
begin
  perform unstuck_private.refuse_other_deployment();
  update unstuck.job_steps s set
    lease_until = least(clock_timestamp() + i.lease, s.deadline_at)
  from unstuck_private.intervals() i
  where s.job_id = p_job_id
    and s.step = p_step
    and s.run = p_run
    and s.status = 'running'
    and s.lease_until > clock_timestamp()
  returning s.lease_until into v_lease;
  v_now := clock_timestamp();
  return query
  select
    v_lease is not null,
    -- A deadline by hand may lie so far back that no number holds the distance.
    coalesce(extract(epoch from greatest(v_lease, v_now) - v_now) * 1000, 0)::int;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.step_requeue_v1(p_job_id uuid, p_step integer, p_run bigint, p_kind text, p_delay_ms integer, p_error_code text, p_error_message text)
 RETURNS TABLE(outcome text, refunded bigint)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
AS $function$
declare
  v_job unstuck.jobs;
  v_step unstuck.job_steps;
  v_tool unstuck.tools;
  v_delay interval := make_interval(secs => greatest(p_delay_ms, 0) / 1000.0);
  v_at timestamptz;
  v_code text := case when p_kind = 'capacity' then 'PROVIDER_BUSY' else p_error_code end;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as('worker');
  if p_kind not in ('capacity', 'transient') then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  v_job := unstuck_private.job_lock(p_job_id);
  v_step := unstuck_private.step_lock(p_job_id, p_step, p_run);
  -- A step that the provider is done with is never requeued.
  if v_step.job_id is null or v_step.provider_done_at is not null then
    return query
    select 'stale', 0::bigint;
    return;
  end if;
  select t.*
  into v_tool
  from unstuck.tools t
  where t.tool = v_job.tool;
  v_at := clock_timestamp() + v_delay;
  if v_at >= v_job.expires_at
    or (p_kind = 'transient' and v_step.attempts >= v_tool.attempt_max)
  then
    return query
    select 'failed', f.refunded
    from unstuck_private.step_fail_or_quarantine(v_job, p_step, p_error_code, p_error_message) f;
  else
    update unstuck.job_steps s set
      status = 'queued',
      sent_at = null,
      started_at = null,
      claimed_at = null,
      lease_until = null,
      provider_task_id = null,
      not_before = case when p_delay_ms > 0 then v_at end,
      -- A refusal for capacity is no attempt.
      attempts = greatest(s.attempts - (p_kind = 'capacity')::int, 0),
      error_code = v_code,
      error_message = v_code || ': ' || p_error_message,
      deadline_at = least(v_at + v_tool.queue_ttl, v_job.expires_at)
    where s.job_id = p_job_id
      and s.step = p_step;
    perform unstuck_private.job_sync_from_steps(array[p_job_id]);
    return query
    select 'queued', 0::bigint;
  end if;
  -- In the order in which the claim takes these locks, and after everything that may wait.
  if p_kind = 'capacity' then
    perform unstuck_private.slot_limit_fall(v_step, v_delay);
  end if;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.step_sent_v1(p_job_id uuid, p_step integer, p_run bigint)
 RETURNS TABLE(applied boolean)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  v_step unstuck.job_steps;
  v_now timestamptz;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as('worker');
  v_step := unstuck_private.step_lock(p_job_id, p_step, p_run);
  if v_step.status is distinct from 'starting' or v_step.sent_at is not null then
    return query
    select false;
    return;
  end if;
  v_now := clock_timestamp();
  update unstuck.job_steps s set
    sent_at = v_now,
    attempts = s.attempts + 1,
    lease_until = v_now + t.start_timeout,
    deadline_at = least(v_now + t.run_timeout, j.expires_at)
  from unstuck.jobs j
  join unstuck.tools t using (tool)
  where s.job_id = p_job_id
    and s.step = p_step
    and j.id = s.job_id;
  perform unstuck_private.job_sync_from_steps(array[p_job_id]);
  return query
  select true;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.step_started_v1(p_job_id uuid, p_step integer, p_run bigint, p_task_id text)
 RETURNS TABLE(outcome text, webhook_waiting boolean)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  v_step unstuck.job_steps;
  v_waiting boolean;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as('worker');
  perform 1
  from unstuck.jobs j
  where j.id = p_job_id
  for update;
  select s.*
  into v_step
  from unstuck.job_steps s
  where s.job_id = p_job_id
    and s.step = p_step
  for update;
  if not found
    or coalesce(p_task_id, '') = ''
    or unstuck_private.is_task_of_other_step(v_step, p_task_id)
  then
    return query
    select 'stale', false;
    return;
  end if;
  v_waiting := exists (
    select from unstuck.webhook_inbox w
    where (w.job_id, w.step, w.run) = (p_job_id, p_step, p_run)
      and w.applied_at is null
  );
  if v_step.run = p_run
    and v_step.status in ('starting', 'running')
    and coalesce(v_step.provider_task_id, p_task_id) = p_task_id
  then
    begin
      update unstuck.job_steps s set
        status = 'running',
        provider_task_id = p_task_id,
        -- A webhook may have come first: then the worker that copies the result has the lease.
        lease_until = case when s.provider_done_at is not null then s.lease_until end,
        started_at = coalesce(s.started_at, clock_timestamp()),
        checked_at = coalesce(s.checked_at, clock_timestamp())
      where s.job_id = p_job_id
        and s.step = p_step;
    exception when unique_violation then
      -- Another step took the task at the same moment.
      return query
      select 'stale', false;
      return;
    end;
    perform unstuck_private.job_sync_from_steps(array[p_job_id]);
    perform unstuck_private.slot_limit_rise(v_step);
    perform unstuck_private.circuit_close(v_step, false);
    return query
    select 'running', v_waiting;
    return;
  end if;
  if v_step.provider_task_id = p_task_id
    or v_step.provider_cancel_due @> jsonb_build_array(jsonb_build_object('task_id', p_task_id))
  then
    return query
    select 'stale', v_waiting;
    return;
  end if;
  -- The provider works for a final step or for an older run: the task must be cancelled.
  update unstuck.job_steps s set
    provider_cancel_due = s.provider_cancel_due
      || jsonb_build_object('task_id', p_task_id, 'run', p_run)
  where (s.job_id, s.step) = (p_job_id, p_step);
  return query
  select 'cancel_due', v_waiting;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.steps_due_v1(p_provider text, p_limit integer, p_all boolean DEFAULT false)
 RETURNS TABLE(job_id uuid, step integer, run bigint, tool text, user_id uuid, due text, task_id text, overdue boolean, output jsonb, input jsonb, done_seconds integer, sent_since timestamp with time zone, sent_seconds integer, open integer)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
AS $function$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_provider unstuck.providers;
  v_open int;
  v_keys jsonb;
begin
  perform unstuck_private.refuse_other_deployment();
  select *
  into v_provider
  from unstuck.providers
  where provider = p_provider;
  if not found or v_provider.synchronous then
    return;
  end if;
  select count(*)
  into v_open
  from unstuck.job_steps s
  where s.provider = p_provider
    and unstuck_private.holds_slot(s)
    and s.provider_task_id is not null;
  v_keys := unstuck_private.steps_due_at_provider(v_provider, v_now, p_all, p_limit);
  return query
  select r.job_id, r.step, r.run, j.tool, j.user_id, r.due, coalesce(r.task_id, w.task_id),
    r.overdue, r.output, r.input, unstuck_private.seconds_between(r.done_at, v_now),
    -- The provider's clock may differ from ours.
    r.sent_at - interval '2 minutes',
    unstuck_private.seconds_between(r.sent_at, v_now),
    v_open
  from unstuck_private.steps_reserve(v_now, v_keys) r
  join unstuck.jobs j on j.id = r.job_id
  -- The newest webhook of this run, unless it names the task of another step.
  left join lateral (
    select i.task_id
    from unstuck.webhook_inbox i
    where i.job_id = r.job_id
      and i.step = r.step
      and i.run = r.run
      and i.task_id is not null
      and not exists (
        select
        from unstuck.job_steps o
        where o.provider = p_provider
          and o.provider_task_id = i.task_id
          and (o.job_id, o.step) <> (r.job_id, r.step)
      )
    order by i.id desc
    limit 1
  ) w on true;

  return query
  select e.job_id, e.step, e.run, j.tool, j.user_id, 'inbox', e.task_id,
    false, null::jsonb, null::jsonb, null::int, null::timestamptz, null::int, v_open
  from unstuck_private.webhooks_of_earlier_runs(p_provider, v_now, p_limit) e
  join unstuck.jobs j on j.id = e.job_id;

  v_keys := unstuck_private.steps_with_cancel_debt(p_provider, v_now, p_limit);
  return query
  select o.job_id, o.step, d.run, j.tool, j.user_id, o.due, d.task_id,
    false, null::jsonb, null::jsonb, null::int, null::timestamptz, null::int, v_open
  from unstuck_private.steps_reserve(v_now, v_keys) o
  join unstuck.jobs j on j.id = o.job_id
  cross join lateral unstuck_private.cancel_debts(o.provider_cancel_due) d;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.steps_get_v1(p_job_id uuid)
 RETURNS TABLE(job_id uuid, step integer, run bigint, tool text, provider text, user_id uuid, status text, task_id text, done boolean, sent boolean)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select
    s.job_id,
    s.step,
    s.run,
    j.tool,
    s.provider,
    j.user_id,
    s.status,
    s.provider_task_id,
    s.provider_done_at is not null,
    s.sent_at is not null
  from unstuck.job_steps s
  join unstuck.jobs j on j.id = s.job_id
  where s.job_id = p_job_id
  order by s.step
  limit 100
$function$
;
CREATE OR REPLACE FUNCTION unstuck.steps_waiting_v1(p_provider text)
 RETURNS TABLE(waiting integer, may_start integer)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET jit TO 'off'
 SET statement_timeout TO '5s'
AS $function$
#variable_conflict use_column
begin
  return query
  select
    -- Those with a turn and those without one, each counted in an index of its own.
    (
      select count(*)::int
      from unstuck.job_steps s
      where s.provider = p.provider
        and s.status = 'queued'
        and s.turn_at is not null
    ) + (
      select count(*)::int
      from unstuck.job_steps s
      where s.provider = p.provider
        and s.status = 'queued'
        and s.turn_at is null
    ),
    unstuck_private.may_start(p.provider)
  from unstuck.providers p
  where p.provider = p_provider;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.sweep_begin_v1(p_source text)
 RETURNS TABLE(sweep_id bigint)
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select unstuck_private.refuse_other_deployment();
  insert into unstuck.sweeps (source)
  values (p_source)
  returning id
$function$
;
CREATE OR REPLACE FUNCTION unstuck.sweep_end_v1(p_sweep_id bigint, p_delivered integer, p_cleaned integer, p_refunded_credits bigint)
 RETURNS TABLE(stuck integer, violations integer, remaining integer, ping_queues boolean, ask_balances boolean)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '30s'
AS $function$
#variable_conflict use_column
begin
  perform unstuck_private.refuse_other_deployment();
  update unstuck.sweeps s
  set delivered = s.delivered + coalesce(p_delivered, 0),
    cleaned = s.cleaned + coalesce(p_cleaned, 0),
    refunded_credits = unstuck_private.clamp_to_bigint(
      s.refunded_credits::numeric + coalesce(p_refunded_credits, 0)
    )
  where s.id = p_sweep_id;
  if found then
    return query
    select *
    from unstuck_private.sweep_finish(p_sweep_id);
  end if;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.tools_change_v1(p_actor uuid, p_change jsonb DEFAULT NULL::jsonb, p_reason text DEFAULT NULL::text)
 RETURNS TABLE(tool text, settings jsonb)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
AS $function$
#variable_conflict use_column
declare
  v_old unstuck.tools;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, p_reason);
  if p_change is not null then
    if p_change ->> 'creditCost' is not null or p_change ->> 'pricedPer' is not null then
      perform unstuck_private.refuse_without_reason(p_reason);
    end if;
    select *
    into v_old
    from unstuck.tools t
    where t.tool = p_change ->> 'tool'
    for no key update;
    if not found then
      perform unstuck_private.refuse(404, 'not_found');
    end if;
    perform unstuck_private.tool_change(v_old, p_change);
  end if;
  return query
  select t.tool, unstuck_private.tool_settings(t)
  from unstuck.tools t
  order by t.tool;
exception when check_violation or numeric_value_out_of_range or invalid_text_representation then
  perform unstuck_private.refuse(400, 'bad_request');
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.user_active_v1(p_user_id uuid)
 RETURNS TABLE(has_active_job boolean, active_tool text, active_table text, active_job_id uuid, active_status text, "position" integer)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
begin
  perform unstuck_private.refuse_other_deployment();
  -- Both lock the account first and wait for no job.
  perform unstuck.user_heal_v1(p_user_id);
  perform unstuck_private.orphans_cancel(p_user_id);
  return query
  select true, j.tool, t.table_name, j.id, j.status,
    case when j.status = 'queued' then (
      select p."position"
      from unstuck_private.job_position(j.id) p
    ) end
  from unstuck.jobs j
  join unstuck.tools t using (tool)
  where j.user_id = p_user_id
    and t.exclusive_group is not null
    and j.status in ('queued', 'starting', 'running')
    and j.quarantined_at is null
  -- A queued row that may be an orphan comes last, so that it hides no paid job.
  order by
    j.status = 'queued',
    j.request_hash is null and j.credits_charged = 0,
    j.created_at
  limit 1;
  if not found then
    return query
    select false, null::text, null::text, null::uuid, null::text, null::int;
  end if;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.user_erase_v1(p_actor uuid, p_user_id uuid, p_reason text)
 RETURNS TABLE(jobs bigint, files bigint, entries bigint)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET lock_timeout TO '5s'
 SET statement_timeout TO '60s'
AS $function$
#variable_conflict use_column
declare
  v_ids uuid[];
  v_kept uuid[];
  v_files bigint;
  v_entries bigint;
  v_balance bigint;
begin
  perform unstuck_private.refuse_other_deployment();
  if not unstuck.has_role(p_actor, 'admin') then
    perform unstuck_private.refuse(403, 'forbidden');
  end if;
  if p_user_id is null or p_user_id = unstuck_private.erased_user() then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  perform unstuck_private.act_as('admin:' || p_actor);
  perform unstuck_private.user_lock(p_user_id);
  v_balance := unstuck_private.wallet_hold(p_user_id, null);
  v_ids := array(
    select l.id
    from (
      select j.id
      from unstuck.jobs j
      where j.user_id = p_user_id
      order by j.id
      for update
    ) l
  );
  -- A provider still works for these, or is owed a cancel: their bare rows stay until it is sent.
  v_kept := array(
    select distinct s.job_id
    from unstuck.jobs j
    join unstuck.job_steps s on s.job_id = j.id
    where j.user_id = p_user_id
      and (
        s.provider_cancel_due <> '[]'
        or unstuck_private.holds_slot(s)
      )
  );
  select count(*)
  into v_files
  from unstuck.jobs j
  join unstuck.job_steps s on s.job_id = j.id
  where j.user_id = p_user_id and s.output_url is not null;
  perform unstuck_private.user_jobs_finalise(p_user_id);
  perform unstuck_private.user_leave_app(p_user_id, v_ids);
  perform unstuck_private.user_jobs_strip(p_user_id, v_kept);
  perform unstuck_private.user_purchases_strip(p_user_id);
  v_entries := unstuck_private.user_rows_delete(p_user_id, v_ids);
  perform unstuck_private.erasure_record(
    p_actor,
    p_user_id,
    jsonb_build_object(
      'jobs', cardinality(v_ids),
      'entries', v_entries,
      'balance', v_balance
    ),
    p_reason
  );
  return query select cardinality(v_ids)::bigint, v_files, v_entries;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.user_heal_v1(p_user_id uuid)
 RETURNS TABLE(healed integer, refunded_credits bigint)
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
AS $function$
  select unstuck_private.refuse_other_deployment();
  select unstuck_private.waiting_credits_give(p_user_id)
  where unstuck_private.credits_wait(p_user_id);
  select count(s.job_id)::int, unstuck_private.clamp_to_bigint(coalesce(sum(s.refunded), 0))
  from unstuck_private.sweep(clock_timestamp(), p_user_id, 200, interval '3 seconds') s
$function$
;
CREATE OR REPLACE FUNCTION unstuck.user_on_behalf_v1(p_user_id uuid)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  v_is_anonymous boolean;
begin
  select coalesce((to_jsonb(u) ->> 'is_anonymous')::boolean, false)
  into v_is_anonymous
  from auth.users u
  where u.id = p_user_id;
  if not found then
    perform unstuck_private.refuse(404, 'not_found', '{"field": "onBehalfOf"}');
  end if;
  return v_is_anonymous;
exception
  when invalid_schema_name or undefined_table or insufficient_privilege then
    -- Our role cannot read the users of the project: whoever is named has a wallet or has none.
    return false;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.user_show_v1(p_actor uuid, p_user_id uuid)
 RETURNS TABLE(account jsonb, jobs jsonb, ledger jsonb, debts jsonb, purchases jsonb)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
AS $function$
#variable_conflict use_column
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, null);
  account := unstuck_private.user_summary(p_user_id);
  jobs := (
    select coalesce(jsonb_agg(unstuck_private.job_summary(j) order by j.created_at desc), '[]')
    from (
      select *
      from unstuck.jobs o
      where o.user_id = p_user_id
      order by o.created_at desc
      limit 100
    ) j
  );
  ledger := (
    select coalesce(
      jsonb_agg(
        jsonb_build_object(
          'id', e.id, 'at', e.created_at, 'kind', e.kind, 'amount', e.amount,
          'balanceAfter', e.balance_after, 'jobId', e.job_id, 'reason', e.reason,
          'actor', e.actor)
        order by e.id desc),
      '[]')
    from (
      select *
      from unstuck.credit_entries o
      where o.user_id = p_user_id
      order by o.id desc
      limit 200
    ) e
  );
  debts := (
    select coalesce(
      jsonb_agg(
        jsonb_build_object(
          'at', d.created_at, 'amount', d.amount, 'settled', d.settled,
          'purchaseId', d.purchase_id)
        order by d.created_at),
      '[]')
    from unstuck.credit_debts d
    where d.user_id = p_user_id
  );
  purchases := (
    select coalesce(
      jsonb_agg(
        jsonb_build_object(
          'id', p.id, 'seller', p.seller, 'pack', p.pack, 'credits', p.credits,
          'granted', p.granted, 'taken', p.taken)),
      '[]')
    from unstuck.purchases p
    where p.user_id = p_user_id
  );
  return next;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.users_find_v1(p_actor uuid, p_query text)
 RETURNS TABLE(users jsonb, jobs jsonb)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '10s'
AS $function$
#variable_conflict use_column
declare
  v_text text := trim(p_query);
  v_hex text := unstuck_private.id_beginning(trim(p_query));
  v_from uuid := rpad(v_hex, 32, '0');
  v_to uuid := rpad(v_hex, 32, 'f');
  v_jobs uuid[];
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, null);
  if coalesce(v_text, '') = '' then
    perform unstuck_private.refuse(400, 'bad_request', '{"field": "query"}');
  end if;
  v_jobs := array(select n.job_id from unstuck_private.jobs_named(v_text, 20) n);
  select coalesce(jsonb_agg(unstuck_private.user_summary(f.user_id)), '[]')
  into users
  from (
    select n.user_id
    from unstuck_private.users_named(v_text, 20) n
    union
    select a.user_id
    from unstuck.credit_accounts a
    where a.user_id between v_from and v_to
    union
    select n.user_id
    from unstuck_private.auth_ids_between(v_from, v_to, 20) n
    union
    select j.user_id
    from unstuck.jobs j
    where j.id = any (v_jobs)
    limit 20
  ) f;
  select coalesce(jsonb_agg(unstuck_private.job_summary(j) order by j.created_at desc), '[]')
  into jobs
  from unstuck.jobs j
  where j.id = any (v_jobs);
  return next;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck.webhook_applied_v1(p_inbox_id bigint)
 RETURNS TABLE(applied boolean)
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select unstuck_private.refuse_other_deployment();
  update unstuck.webhook_inbox w set
    applied_at = coalesce(w.applied_at, clock_timestamp())
  where w.id = p_inbox_id
  returning true
$function$
;
CREATE OR REPLACE FUNCTION unstuck.webhook_record_v1(p_provider text, p_job_id uuid, p_step integer, p_run bigint, p_task_id text, p_dedup_key text, p_body jsonb)
 RETURNS TABLE(recorded boolean, inbox_id bigint)
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '5s'
AS $function$
  select unstuck_private.refuse_other_deployment();
  select s.recorded, s.inbox_id
  from unstuck.webhook_record_v2(
    p_provider, p_job_id, p_step, p_run, p_task_id, p_dedup_key, p_body) s
$function$
;
CREATE OR REPLACE FUNCTION unstuck.webhook_record_v2(p_provider text, p_job_id uuid, p_step integer, p_run bigint, p_task_id text, p_dedup_key text, p_body jsonb)
 RETURNS TABLE(recorded boolean, inbox_id bigint, step jsonb)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET statement_timeout TO '5s'
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  v_id bigint;
  v_is_new boolean;
  v_step jsonb;
begin
  perform unstuck_private.refuse_other_deployment();
  insert into unstuck.webhook_inbox (provider, job_id, step, run, task_id, dedup_key, body)
  values (p_provider, p_job_id, p_step, p_run, nullif(p_task_id, ''), p_dedup_key, p_body)
  on conflict (provider, dedup_key) do nothing
  returning id into v_id;
  v_is_new := found;
  if not found then
    select w.id
    into v_id
    from unstuck.webhook_inbox w
    where w.provider = p_provider
      and w.dedup_key = p_dedup_key;
  end if;
  select to_jsonb(s) - 'output'
  into v_step
  from unstuck.step_get_v1(p_job_id, p_step) s;
  return query
  select v_is_new, v_id, v_step;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.account_drop_empty(p_user_id uuid)
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  delete from unstuck.credit_accounts a
  where a.user_id = p_user_id
    and a.balance = 0
    and not exists (select from unstuck.credit_entries e where e.user_id = p_user_id)
    and not exists (select from unstuck.jobs j where j.user_id = p_user_id)
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.account_lock(p_user_id uuid)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_is_new boolean := false;
begin
  loop
    perform
    from unstuck.credit_accounts a
    where a.user_id = p_user_id
    for update;
    exit when found;
    insert into unstuck.credit_accounts (user_id)
    values (p_user_id)
    on conflict do nothing;
    v_is_new := found;
  end loop;
  if v_is_new then
    perform unstuck_private.signup_bonus_give(p_user_id);
  end if;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.account_try_lock(p_user_id uuid)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO ''
 SET lock_timeout TO '1s'
AS $function$
begin
  perform 1
  from unstuck.credit_accounts
  where user_id = p_user_id
  for update;
  return true;
exception when lock_not_available then
  return false;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.accounts_make(p_ids uuid[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  if exists (
    select from unstuck.jobs j
    where j.id = any (p_ids)
      and not exists (select from unstuck.credit_accounts a where a.user_id = j.user_id)
  ) then
    insert into unstuck.credit_accounts (user_id)
    select distinct j.user_id
    from unstuck.jobs j
    where j.id = any (p_ids)
      and not exists (select from unstuck.credit_accounts a where a.user_id = j.user_id)
      and unstuck_private.has_ledger_entries(j.id)
    order by 1
    on conflict do nothing;
  end if;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.act_as(p_actor text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  perform set_config(
    'unstuck.actor',
    case
      when p_actor = 'user' and unstuck_private.is_call_on_behalf() then 'service'
      else p_actor
    end,
    true
  );
  if unstuck_private.is_healers_call() then
    set local lock_timeout = '20ms';
  end if;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.act_as_admin(p_actor uuid, p_reason text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  if p_actor is null or not unstuck.has_role(p_actor, 'admin') then
    perform unstuck_private.refuse(403, 'forbidden');
  end if;
  perform unstuck_private.act_as('admin:' || p_actor);
  perform set_config('unstuck.reason', left(coalesce(trim(p_reason), ''), 1000), true);
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.admin_cancel_record(p_job unstuck.jobs, p_refused text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_job unstuck.jobs;
  v_debit numeric;
  v_refunded numeric;
begin
  select *
  into v_job
  from unstuck.jobs
  where id = p_job.id;
  select
    coalesce(-sum(e.amount) filter (where e.kind = 'debit'), 0),
    coalesce(sum(e.amount) filter (where e.kind = 'refund'), 0)
  into v_debit, v_refunded
  from unstuck.credit_entries e
  where e.job_id = p_job.id
    and e.kind in ('debit', 'refund');
  insert into unstuck.job_events (job_id, event, from_status, to_status, actor, detail)
  values (
    p_job.id, 'admin_cancelled', p_job.status, v_job.status,
    nullif(current_setting('unstuck.actor', true), ''),
    jsonb_strip_nulls(jsonb_build_object(
      'row_charged', p_job.credits_charged,
      'row_refunded', p_job.credits_refunded,
      'ledger_debit', v_debit,
      'ledger_refunds', v_refunded,
      'quarantined_at', p_job.quarantined_at,
      'not_returned', p_refused)));
  update unstuck.jobs
  set quarantined_at = case
    when p_refused is not null or unstuck_private.has_ledger_mismatch(v_job) then
      coalesce(p_job.quarantined_at, clock_timestamp())
  end
  where id = p_job.id;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.admin_log_write(p_act text, p_subject text, p_from jsonb, p_to jsonb)
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  insert into unstuck.admin_log (actor, act, subject, "from", "to", reason)
  values (
    substring(current_setting('unstuck.actor', true) from '^admin:([0-9a-f-]{36})$')::uuid,
    p_act,
    p_subject,
    p_from,
    p_to,
    nullif(current_setting('unstuck.reason', true), '')
  )
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.admins_count()
 RETURNS bigint
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
declare
  v_count bigint;
begin
  if unstuck_private.host_has_role('00000000-0000-0000-0000-000000000000', 'admin') is null then
    select count(*)
    into v_count
    from unstuck.user_roles r
    where r.role = 'admin';
    return v_count;
  end if;
  execute 'select count(*) from public.user_roles r where r.role::text = ''admin'''
  into v_count;
  return v_count;
exception when syntax_error_or_access_rule_violation then
  return null;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.alerts_owe(p_to text, p_now timestamp with time zone, p_due_at timestamp with time zone, p_repeat interval)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  if not pg_catalog.pg_try_advisory_xact_lock(
    pg_catalog.hashtextextended('unstuck_private.alerts_owe', 0)
  ) then
    return;
  end if;
  with watched as materialized (
    select w.subject, w.code, w.is_bad, w.words
    from unstuck_private.watched(p_now) w
  ), unwatched as (
    update unstuck_private.alert_states a
    set is_bad = false,
      words = 'Nobody watches this any more.',
      since = p_now
    where a.is_bad
      and not exists (select from watched w where w.subject = a.subject)
  )
  insert into unstuck_private.alert_states as a (subject, code, is_bad, words, since)
  select w.subject, w.code, w.is_bad, w.words, p_now
  from watched w
  on conflict (subject) do update
  set is_bad = excluded.is_bad,
    words = excluded.words,
    since = case when a.is_bad = excluded.is_bad then a.since else excluded.since end
  where (a.is_bad, a.words) is distinct from (excluded.is_bad, excluded.words);

  with told as (
    select a.subject,
      case
        when not a.is_bad then 'good'
        when a.told_bad_at is null then 'bad'
        else 'still_bad'
      end as state
    from unstuck_private.alert_states a
    where case
      when not a.is_bad then
        a.told_bad_at is not null and a.since <= p_now - interval '1 minute'
      when a.told_bad_at is null then
        coalesce(a.told_at <= p_now - interval '5 minutes', true)
      else a.told_at <= p_now - p_repeat
    end
  ), marked as (
    update unstuck_private.alert_states a
    set told_at = p_now,
      told_bad_at = case t.state
        when 'good' then null
        when 'bad' then p_now
        else a.told_bad_at
      end
    from told t
    where a.subject = t.subject
    returning a.subject, a.code, a.words, a.since, t.state
  )
  insert into unstuck.messages_owed (kind, "to", body, due_at)
  select 'alert', p_to,
    jsonb_build_object(
      'state', m.state,
      'subject', m.subject,
      'code', m.code,
      'message', m.words,
      'since', m.since,
      'at', p_now
    ),
    p_due_at
  from marked m;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.append_only()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  raise exception '% is append-only', tg_table_name
  using errcode = 'restrict_violation';
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.audit(p_budget interval)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_until timestamptz := clock_timestamp() + p_budget;
  v_ids bigint[];
  v_last bigint := 0;
  v_jobs uuid[];
  v_users uuid[];
  v_entries bigint[];
begin
  perform 1
  from unstuck_private.audit_lock
  for update skip locked;
  if not found then
    return;
  end if;
  select array_agg(f.job_id) filter (where f.job_id is not null),
    array_agg(f.user_id) filter (where f.user_id is not null)
  into v_jobs, v_users
  from (
    select distinct c.job_id, c.user_id
    from (
      select *
      from unstuck.violations_found s
      order by s.checked_at
      limit 100
    ) c
  ) f;
  if v_jobs is not null or v_users is not null then
    perform unstuck_private.audit_page(v_jobs, v_users, '{}');
  end if;
  loop
    select array_agg(u.id),
      max(u.id),
      array_agg(distinct u.job_id) filter (where u.job_id is not null),
      array_agg(distinct u.user_id) filter (where u.user_id is not null),
      array_agg(u.entry_id) filter (where u.entry_id is not null)
    into v_ids, v_last, v_jobs, v_users, v_entries
    from (
      select *
      from unstuck_private.unaudited n
      where n.id > v_last
      order by n.id
      limit 500
    ) u;
    exit when v_ids is null;
    perform unstuck_private.audit_page(v_jobs, v_users, v_entries);
    delete from unstuck_private.unaudited u
    where u.id = any (v_ids);
    exit when clock_timestamp() > v_until;
  end loop;
  update unstuck_private.audit_lock
  set audited_at = clock_timestamp();
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.audit_everything()
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  perform unstuck_private.unaudited_list_all();
  perform unstuck_private.audit(interval '1 day');
  return (select count(*) from unstuck.violations_found);
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.audit_page(p_jobs uuid[], p_users uuid[], p_entries bigint[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  with found as materialized (
    select *
    from unstuck_private.violations_of_each(p_jobs, p_users, p_entries)
  ), stored as (
    select f.invariant, f.subject
    from unnest(p_jobs) as n (id)
    join unstuck.violations_found f on f.job_id = n.id
    union
    select f.invariant, f.subject
    from unnest(p_users) as n (id)
    join unstuck.violations_found f on f.user_id = n.id
  ), mended as (
    delete from unstuck.violations_found f
    using stored s
    where f.invariant = s.invariant
      and f.subject = s.subject
      and not exists (
        select from found o
        where o.invariant = f.invariant and o.subject = f.subject
      )
  )
  insert into unstuck.violations_found
    (invariant, subject, detail, job_id, user_id, entry_id)
  select o.invariant, o.subject, o.detail, o.job_id, o.user_id, o.entry_id
  from found o
  on conflict (invariant, subject) do update set
    detail = excluded.detail,
    checked_at = excluded.checked_at;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.audited_entries(p_jobs uuid[], p_users uuid[], p_entries bigint[])
 RETURNS TABLE(id bigint, user_id uuid, kind text, amount bigint, job_id uuid, at timestamp with time zone)
 LANGUAGE sql
 STABLE
AS $function$
  select e.id, e.user_id, e.kind, e.amount, e.job_id,
    least(greatest(e.created_at, '1000-01-01'), '9000-01-01')
  from (
    select unnest(p_entries)
    union
    select f.entry_id
    from unnest(p_users) as n (id)
    join unstuck.violations_found f on f.user_id = n.id
    union
    select c.id
    from unnest(p_jobs) as n (id)
    join unstuck.credit_entries c on c.job_id = n.id and c.kind in ('debit', 'refund')
    where not exists (select from unstuck.jobs j where j.id = n.id)
  ) as n (id)
  join unstuck.credit_entries e on e.id = n.id
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.audited_jobs(p_jobs uuid[])
 RETURNS TABLE(id uuid, user_id uuid, status text, credits_charged bigint, credits_refunded bigint, quarantined_at timestamp with time zone, is_per_step boolean, is_final boolean, is_settled boolean, has_no_ledger boolean, steps bigint, live_steps bigint, delivered_share numeric, undelivered_share numeric, debit numeric, refunded numeric, owed numeric)
 LANGUAGE sql
 STABLE
AS $function$
  select j.id, j.user_id, j.status, j.credits_charged, j.credits_refunded, j.quarantined_at,
    j.refund_rule = 'per_step',
    unstuck_private.is_final(j.status),
    -- is_settled: an admin ended the job although its money does not agree, and the event
    -- `admin_cancelled` says so. No one can mend the ledger any more, so it is no violation.
    unstuck_private.is_final(j.status) and j.quarantined_at is not null,
    -- has_no_ledger: the ledger was deleted with its user, and the job was kept.
    exists (
      select from unstuck_private.removals r
      where r.user_id = j.user_id
        and r.ledger_removed_at >= j.created_at
    ),
    s.*, e.*, o.*
  from unnest(p_jobs) as n (id)
  join unstuck.jobs j on j.id = n.id
  cross join lateral (
    select count(*),
      count(*) filter (where not unstuck_private.is_final(st.status)),
      coalesce(sum(st.share) filter (where st.status = 'completed'), 0),
      coalesce(sum(st.share) filter (where st.status <> 'completed'), 0)
    from unstuck.job_steps st
    where st.job_id = j.id
  ) s
  cross join lateral (
    select coalesce(-sum(c.amount) filter (where c.kind = 'debit'), 0),
      coalesce(sum(c.amount) filter (where c.kind = 'refund'), 0)
    from unstuck.credit_entries c
    where c.job_id = j.id
      and c.kind in ('debit', 'refund')
  ) e
  cross join lateral (
    select coalesce(sum(r.amount), 0)
    from unstuck.refunds_owed r
    where r.job_id = j.id
  ) o
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.auth_email(p_user_id uuid)
 RETURNS text
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
begin
  return (
    select u.email
    from auth.users u
    where u.id = p_user_id
  );
exception
  when invalid_schema_name or undefined_table or undefined_column or insufficient_privilege then
    return null;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.auth_ids_between(p_from uuid, p_to uuid, p_limit integer)
 RETURNS TABLE(user_id uuid)
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
begin
  return query
  select u.id
  from auth.users u
  where u.id between p_from and p_to
  limit p_limit;
exception
  when invalid_schema_name or undefined_table or undefined_column or insufficient_privilege then
    return;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.auth_user(p_user_id uuid, p_email text, OUT is_readable boolean, OUT user_id uuid, OUT confirmed_email text, OUT created_at timestamp with time zone)
 RETURNS record
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
begin
  if p_user_id is not null then
    select u.id, case when u.email_confirmed_at is not null then lower(u.email) end, u.created_at
    into user_id, confirmed_email, created_at
    from auth.users u
    where u.id = p_user_id;
  elsif p_email is not null then
    select u.id, lower(u.email), u.created_at
    into user_id, confirmed_email, created_at
    from auth.users u
    where lower(u.email) = lower(p_email)
      and u.email_confirmed_at is not null
    order by u.created_at, u.id
    limit 1;
  end if;
  is_readable := true;
exception
  when invalid_schema_name or undefined_table or undefined_column or insufficient_privilege then
    is_readable := false;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.balance_last(p_user_id uuid)
 RETURNS bigint
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
begin
  return coalesce(
    (
      select e.balance_after
      from unstuck.credit_entries e
      where e.user_id = p_user_id
      order by e.id desc
      limit 1
    ),
    0
  );
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.balance_shown(p_user_id uuid, p_tool text)
 RETURNS bigint
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
begin
  return coalesce(
    (select w.balance from unstuck_private.wallet_lock(p_user_id, p_tool, null) w),
    unstuck_private.balance_last(p_user_id)
  );
exception when others then
  raise warning 'the wallet of % cannot be read: %', p_user_id, sqlerrm;
  return unstuck_private.balance_last(p_user_id);
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.balances_ask(p_now timestamp with time zone)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  insert into unstuck_private.healer_marks (healer)
  values ('balances')
  on conflict do nothing;
  update unstuck_private.healer_marks m
  set pinged_at = p_now
  where m.ctid = any (array(
    select h.ctid
    from unstuck_private.healer_marks h
    where h.healer = 'balances'
      and coalesce(h.pinged_at, '-infinity') < p_now - interval '10 minutes'
    for update skip locked
  ));
  return found;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.caller_balance(OUT balance bigint, OUT debt bigint, OUT waits boolean)
 RETURNS record
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select unstuck_private.balance_shown(auth.uid(), null), unstuck_private.debt_open(auth.uid()),
    unstuck_private.credits_wait(auth.uid())
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.caller_header()
 RETURNS text
 LANGUAGE sql
 STABLE
AS $function$
  select unstuck_private.request_header('x-unstuck-caller')
  where coalesce(current_setting('role', true), 'none') in ('none', 'service_role')
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.caller_positions()
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  v_ids uuid[];
begin
  if unstuck_private.may_see(null) then
    v_ids := array(
      select j.id
      from unstuck.jobs j
      where j.status = 'queued'
    );
  else
    v_ids := array(
      select j.id
      from unstuck.jobs j
      where j.status = 'queued' and j.user_id = auth.uid()
    );
  end if;
  if cardinality(v_ids) <= 3 then
    return (
      select coalesce(jsonb_object_agg(n.id, p."position"), '{}')
      from unnest(v_ids) as n (id)
      cross join lateral unstuck_private.job_position(n.id) p
    );
  end if;
  return (
    with line as (
      select q.job_id, row_number() over (partition by p.provider order by q."position") as nth
      from (
        select distinct t.provider
        from unstuck.jobs j
        join unstuck.tools t using (tool)
        where j.id = any (v_ids)
      ) p
      cross join lateral unstuck_private.queue_order(p.provider, clock_timestamp()) q
      where q.begins
    )
    select coalesce(jsonb_object_agg(l.job_id, l.nth), '{}')
    from line l
    join unnest(v_ids) as n (id) on n.id = l.job_id
  );
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.can_requeue(p_step unstuck.job_steps, p_tool unstuck.tools, p_provider unstuck.providers)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select p_step.lease_until is not null
    and (
      p_step.status = 'starting'
        and p_step.sent_at is null
        and p_step.rescues < 3
      or p_step.status = 'running'
        and p_provider.synchronous
        and not p_provider.retried_by_function
        and p_step.provider_done_at is null
        and p_step.attempts < p_tool.attempt_max
    )
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.cancel_debt_with(p_step unstuck.job_steps)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select
    case
      when jsonb_typeof(p_step.provider_cancel_due) = 'array' then p_step.provider_cancel_due
      else '[]'
    end
    || case
      when p_step.sent_at is not null
        and p_step.provider_done_at is null
        and p_step.provider_task_id is not null
      then jsonb_build_array(
        jsonb_build_object('task_id', p_step.provider_task_id, 'run', p_step.run))
      else '[]'
    end
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.cancel_debt_without(p_due jsonb, p_task_id text)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select coalesce(jsonb_agg(d), '[]')
  from jsonb_array_elements(
    case when jsonb_typeof(p_due) = 'array' then p_due else '[]' end) d
  where d ->> 'task_id' is distinct from p_task_id
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.cancel_debts(p_due jsonb)
 RETURNS TABLE(task_id text, run bigint)
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
AS $function$
  select d ->> 'task_id', coalesce(unstuck_private.number_or_null(d ->> 'run'), 0)::bigint
  from jsonb_array_elements(
    case when jsonb_typeof(p_due) = 'array' then p_due else '[]' end) d
  where d ->> 'task_id' is not null
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.cancelled_requests_add(p_user_id uuid, p_job_ids uuid[])
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_new uuid[];
  v_room int;
begin
  delete from unstuck.cancelled_requests c
  using unstuck.retention r
  where r.kind = 'cancelled_requests'
    and c.user_id = p_user_id
    and c.at < clock_timestamp() - r.keep;
  v_new := array(
    select distinct x.id
    from unnest(p_job_ids) as x (id)
    where x.id is not null
      and not exists (
        select from unstuck.cancelled_requests c
        where c.user_id = p_user_id and c.job_id = x.id
      )
  );
  if v_new = '{}' then
    return true;
  end if;
  select 1000 - count(*)
  into v_room
  from unstuck.cancelled_requests c
  where c.user_id = p_user_id;
  insert into unstuck.cancelled_requests (user_id, job_id)
  select p_user_id, x.id
  from unnest(v_new) as x (id)
  limit greatest(v_room, 0);
  return cardinality(v_new) <= v_room;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.cancelled_requests_full_for(p_user_id uuid)
 RETURNS integer
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select least(
    greatest(ceil(extract(epoch from min(c.at) + r.keep - clock_timestamp())), 1),
    2147483647)::int
  from unstuck.cancelled_requests c
  join unstuck.retention r on r.kind = 'cancelled_requests'
  where c.user_id = p_user_id
  group by r.keep
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.cancelled_requests_unaudited()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  if tg_op = 'DELETE' then
    insert into unstuck_private.unaudited (job_id)
    select o.job_id
    from old_rows o
    join unstuck.violations_found f on f.job_id = o.job_id;
  else
    insert into unstuck_private.unaudited (job_id)
    select n.job_id
    from new_rows n
    join unstuck.jobs j on j.id = n.job_id
    where unstuck_private.is_live(j.status);
  end if;
  return null;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.circuit_before_update()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  new.account_faults := 0;
  new.circuit_reason := null;
  new.circuit_opened_at := null;
  new.circuit_closed_at := clock_timestamp();
  return new;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.circuit_close(p_step unstuck.job_steps, p_is_completed boolean)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  if p_is_completed
    and not (select p.synchronous from unstuck.providers p where p.provider = p_step.provider)
  then
    return;
  end if;
  update unstuck.providers p
  set account_faults = 0,
    circuit_open_until = null
  where p.provider = p_step.provider
    and (p.account_faults > 0 or p.circuit_open_until is not null)
    and (p.circuit_opened_at is null or p_step.claimed_at >= p.circuit_opened_at);
  update unstuck.tools t
  set account_faults = 0,
    circuit_open_until = null
  where t.tool = (select j.tool from unstuck.jobs j where j.id = p_step.job_id)
    and (t.account_faults > 0 or t.circuit_open_until is not null)
    and (t.circuit_opened_at is null or p_step.claimed_at >= t.circuit_opened_at);
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.circuit_owes_turns()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  insert into unstuck_private.turns_owed (provider, user_id)
  select distinct s.provider, s.line_user_id
  from unstuck.job_steps s
  where s.provider = new.provider
    and s.status = 'queued'
    and s.turn_at is not null
    and s.line_tool = new.tool
    and exists (
      select from unstuck.job_steps o
      where o.provider = s.provider
        and o.line_user_id = s.line_user_id
        and o.status = 'queued'
        and o.turn_at is null
        and o.line_tool <> new.tool
    )
  on conflict do nothing;
  return null;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.circuit_pause()
 RETURNS interval
 LANGUAGE sql
 IMMUTABLE
AS $function$ select interval '1 minute' $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.circuit_trial(p_provider text, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  update unstuck.providers p
  set circuit_open_until = p_now + unstuck_private.circuit_pause()
  where p.provider = p_provider
    and p.circuit_open_until is not null;
  update unstuck.tools t
  set circuit_open_until = p_now + unstuck_private.circuit_pause()
  where t.circuit_open_until is not null
    and exists (
      select from unstuck.job_steps s
      join unstuck.jobs j on j.id = s.job_id
      where s.provider = p_provider
        and unstuck_private.holds_slot(s)
        and s.claimed_at = p_now
        and j.tool = t.tool
    );
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.clamp_to_bigint(p_sum numeric)
 RETURNS bigint
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select least(greatest(p_sum, -9223372036854775807), 9223372036854775807)::bigint
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.condition_holds(p_value jsonb, p_condition jsonb)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
AS $function$
  select coalesce(
    case jsonb_typeof(p_condition)
      when 'object' then not exists (
        select
        from jsonb_each(p_condition) o
        where not coalesce(
          case o.key
            when 'in' then
              jsonb_typeof(p_value) not in ('array', 'object') and o.value @> p_value
            else
              jsonb_typeof(p_value) = 'number'
              and case o.key
                when 'gt' then p_value > o.value
                when 'gte' then p_value >= o.value
                when 'lt' then p_value < o.value
                when 'lte' then p_value <= o.value
              end
          end,
          false
        )
      )
      else p_value = p_condition
    end,
    false
  )
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.costs_fold(p_from timestamp with time zone, p_to timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  insert into unstuck_private.costs_by_day as d (day, tool, attempts, cost)
  select (s.ended_at at time zone 'UTC')::date, s.tool, sum(s.attempts),
    sum(s.attempts * t.provider_cost)
  from unstuck_private.steps_ended(p_from, p_to) s
  join unstuck.tools t using (tool)
  where s.ended_at is not null
    and t.provider_cost is not null
  group by 1, 2
  on conflict (day, tool) do update
  set attempts = d.attempts + excluded.attempts,
    cost = d.cost + excluded.cost;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.count_due(p_now timestamp with time zone)
 RETURNS integer
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
declare
  v_ids uuid[];
  v_id uuid;
  v_due int := 0;
begin
  v_ids := array(
    select distinct i.id
    from unnest(array['deadline', 'age', 'left']) as w (way)
    cross join lateral unstuck_private.sweep_candidates(
      p_now, w.way, null, '-infinity', '00000000-0000-0000-0000-000000000000', 1000
    ) c
    cross join lateral unnest(c.ids) as i (id)
  );
  begin
    return (
      select count(*)
      from unstuck_private.jobs_due(p_now, v_ids)
    );
  exception when others then
    null;
  end;
  foreach v_id in array v_ids loop
    begin
      v_due := v_due + (select count(*) from unstuck_private.jobs_due(p_now, array[v_id]));
    exception when others then
      v_due := v_due + 1;
    end;
  end loop;
  return v_due;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.count_due_among(p_now timestamp with time zone, p_ids uuid[])
 RETURNS integer
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
begin
  return (
    select count(*)
    from unstuck_private.jobs_due(p_now, p_ids)
  );
exception when others then
  return 0;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.count_stuck(p_now timestamp with time zone)
 RETURNS integer
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
begin
  return (
    select count(*)::int
    from (
      select
      from unstuck.jobs j
      cross join unstuck_private.intervals() i
      where unstuck_private.is_live(j.status)
        and j.quarantined_at is null
        and j.deadline_at <= p_now - i.sql_wait - i.grace
      limit 10000
    ) s
  );
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.counters_fold(p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
 SET plan_cache_mode TO 'force_custom_plan'
AS $function$
declare
  v_from timestamptz;
  v_to timestamptz := unstuck_private.settled_before(p_now);
  v_page timestamptz;
begin
  select c.at
  into v_from
  from unstuck_private.counted_until c
  for update skip locked;
  if v_from is null or v_to <= v_from then
    return;
  end if;
  select j.completed_at
  into v_page
  from unstuck_private.jobs_ended(v_from, v_to) j
  order by j.completed_at
  offset 20000
  limit 1;
  v_to := coalesce(v_page, v_to);
  insert into unstuck_private.counters as c (name, labels, value)
  select l.name, l.labels, sum(l.value)
  from unstuck_private.lines_between(v_from, v_to) l
  group by l.name, l.labels
  on conflict (name, labels) do update
  set value = c.value + excluded.value;
  perform unstuck_private.costs_fold(v_from, v_to);
  insert into unstuck_private.ended_by_minute as m (minute, provider, done, failed)
  select date_trunc('minute', e.ended_at), e.provider,
    count(*) filter (where e.class = 'completed'),
    count(*) filter (where e.is_failure)
  from unstuck_private.steps_ended(v_from, v_to) e
  where e.ended_at is not null
  group by 1, 2
  on conflict (provider, minute) do update
  set done = m.done + excluded.done,
    failed = m.failed + excluded.failed;
  delete from unstuck_private.ended_by_minute m
  where m.minute < p_now - interval '1 hour';
  perform unstuck_private.healer_mark('webhook:' || w.provider, w.at)
  from (
    select i.provider, max(i.received_at) as at
    from unstuck.webhook_inbox i
    where i.received_at > v_from - interval '1 minute'
    group by i.provider
  ) w;
  update unstuck_private.counted_until c
  set at = v_to;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.credit_accounts_unaudited()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  if tg_op = 'DELETE' then
    insert into unstuck_private.unaudited (user_id)
    select o.user_id
    from old_rows o;
  else
    insert into unstuck_private.unaudited (user_id)
    select n.user_id
    from new_rows n;
  end if;
  return null;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.credit_adjust(p_user_id uuid, p_amount bigint, p_reason text)
 RETURNS TABLE(success boolean, new_balance bigint, error_message text)
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_balance bigint;
begin
  if p_user_id is null or p_amount is null or p_amount = 0 then
    return query select false, null::bigint, 'Amount must be positive';
    return;
  end if;
  if p_amount > unstuck_private.grant_max() then
    return query select false, null::bigint, 'Amount is too large';
    return;
  end if;
  perform unstuck_private.act_as('service');
  perform unstuck_private.account_lock(p_user_id);
  select coalesce(max(w.balance), 0)
  into v_balance
  from unstuck_private.wallet_lock(p_user_id, null, true) w;
  if v_balance + p_amount < 0 then
    return query select false, v_balance, 'Insufficient credits';
    return;
  end if;
  insert into unstuck.credit_entries (user_id, kind, amount, reason)
  values (p_user_id, 'adjustment', p_amount, p_reason)
  returning balance_after
  into v_balance;
  return query select true, v_balance, null::text;
exception when others then
  if sqlstate <> '23514' and sqlstate not like 'PT4%' then
    raise;
  end if;
  return query
  select false, v_balance,
    case sqlstate when '23514' then 'Insufficient credits' else sqlerrm end;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.credit_entries_after_delete()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  if exists (
    select from (select distinct o.user_id from old_rows o) u
    join unstuck.credit_entries e using (user_id)
  ) then
    raise exception 'credit_entries is append-only' using errcode = 'restrict_violation';
  end if;
  update unstuck.credit_accounts a
  set balance = 0
  from (select distinct o.user_id from old_rows o) u
  where a.user_id = u.user_id;
  return null;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.credit_entries_before_insert()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_asked bigint := new.amount;
  v_tool text;
begin
  if coalesce(new.amount, 0) = 0 then
    -- The constraints of the table refuse it.
    new.balance_after := coalesce(new.balance_after, 0);
  end if;
  if new.balance_after is not null then
    return new;
  end if;
  perform unstuck_private.account_lock(new.user_id);
  select j.tool
  into v_tool
  from unstuck.jobs j
  where j.id = new.job_id;
  if new.kind = 'debit' and new.amount < 0 then
    perform unstuck_private.waiting_credits_give(new.user_id);
    select -w.taken, w.receipt
    into new.amount, new.receipt
    from unstuck_private.wallet_debit(
      new.user_id, v_tool, -new.amount, new.job_id, new.reason) w;
  elsif new.kind = 'refund' then
    new.amount := unstuck_private.wallet_refund(
      new.user_id, new.amount, new.job_id, new.reason, unstuck_private.job_receipt(new.job_id));
  elsif new.amount > 0 then
    new.receipt := (
      unstuck_private.wallet_grant(new.user_id, new.amount, new.kind, new.reason)).receipt;
  else
    new.amount := -unstuck_private.wallet_take(
      new.user_id, -new.amount, new.kind, new.reason, new.receipt);
    if new.amount > v_asked and new.kind <> 'chargeback' then
      raise exception 'the balance is lower than %', -v_asked using errcode = 'check_violation';
    end if;
  end if;
  new.balance_after := unstuck_private.balance_shown(new.user_id, v_tool);
  return case when new.amount <> 0 then new end;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.credit_entries_settle()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  perform unstuck_private.debts_settle(new.user_id);
  return null;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.credit_entries_unaudited()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  if tg_op = 'INSERT' then
    insert into unstuck_private.unaudited (job_id, user_id, entry_id)
    select n.job_id, n.user_id, n.id
    from new_rows n;
  else
    insert into unstuck_private.unaudited (job_id, user_id)
    select distinct o.job_id, o.user_id
    from old_rows o;
    perform unstuck_private.removals_record(
      array(select distinct o.user_id from old_rows o)
    );
  end if;
  return null;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.credit_grant_once(p_user_id uuid, p_amount bigint, p_kind text, p_reason text, p_idempotency_key text, OUT balance_before bigint, OUT balance bigint, OUT replayed boolean)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_entry unstuck.credit_entries;
begin
  if p_user_id is null
    or p_amount is null
    or p_amount not between 1 and unstuck_private.grant_max()
    or coalesce(p_idempotency_key, '') = ''
  then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  perform unstuck_private.account_lock(p_user_id);
  select *
  into v_entry
  from unstuck.credit_entries e
  where e.idempotency_key = p_idempotency_key;
  replayed := found;
  if replayed then
    if v_entry.user_id <> p_user_id
      or v_entry.amount <> p_amount
      or v_entry.kind <> p_kind
    then
      perform unstuck_private.refuse(409, 'idempotency_conflict');
    end if;
  else
    balance_before := unstuck_private.balance_shown(p_user_id, null);
    begin
      insert into unstuck.credit_entries (user_id, kind, amount, reason, idempotency_key)
      values (p_user_id, p_kind, p_amount, p_reason, p_idempotency_key);
    exception when unique_violation then
      -- Another transaction used the key for another user at the same moment.
      perform unstuck_private.refuse(409, 'idempotency_conflict');
    end;
  end if;
  balance := unstuck_private.balance_shown(p_user_id, null);
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.credits_wait(p_user_id uuid)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select (
    not exists (select from unstuck.credit_accounts a where a.user_id = p_user_id)
    and unstuck_private.signup_bonus_due(p_user_id) is not null
  ) or exists (
    select
    from unstuck.purchases p
    where p.waits
      and (
        p.user_id = p_user_id
        or p.email = (select (unstuck_private.auth_user(p_user_id, null)).confirmed_email)
      )
  )
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.debt_open(p_user_id uuid)
 RETURNS bigint
 LANGUAGE sql
 STABLE
AS $function$
  select coalesce(sum(d.amount - d.settled), 0)::bigint
  from unstuck.credit_debts d
  where d.user_id = p_user_id
    and d.amount > d.settled
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.debts_lessen(p_user_id uuid, p_ids uuid[], p_amount bigint)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_debt unstuck.credit_debts;
  v_rest bigint := p_amount;
begin
  for v_debt in
    select *
    from unstuck.credit_debts d
    where d.user_id = p_user_id
      and d.purchase_id = any (p_ids)
      and d.amount > d.settled
    order by d.created_at, d.id
  loop
    update unstuck.credit_debts d
    set amount = greatest(d.amount - v_rest, d.settled)
    where d.id = v_debt.id;
    v_rest := greatest(v_rest - (v_debt.amount - v_debt.settled), 0);
  end loop;
  return v_rest;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.debts_settle(p_user_id uuid)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_debt unstuck.credit_debts;
  v_taken bigint;
begin
  for v_debt in
    select *
    from unstuck.credit_debts d
    where d.user_id = p_user_id
      and d.amount > d.settled
    order by d.created_at, d.id
  loop
    v_taken := unstuck_private.purchase_take(
      p_user_id, array[v_debt.purchase_id], v_debt.amount - v_debt.settled);
    exit when v_taken = 0;
    update unstuck.credit_debts d
    set settled = d.settled + v_taken
    where d.id = v_debt.id;
  end loop;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.ends_owe()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
 SET enable_nestloop TO 'off'
AS $function$
declare
  v_ids uuid[];
begin
  v_ids := array(
    select n.id
    from new_rows n
    join old_rows o using (id)
    where unstuck_private.is_final(n.status)
      and not unstuck_private.is_final(o.status)
      and n.error_code is distinct from 'ORPHANED'
  );
  if v_ids = '{}' or not unstuck_private.is_receiver_there() then
    return null;
  end if;
  insert into unstuck.messages_owed (kind, "to", user_id, body)
  select 'job_end', 'app', j.user_id,
    jsonb_build_object(
      'type', 'job.' || j.status,
      'timestamp', j.completed_at,
      'data', unstuck_private.job_shown(j) || jsonb_build_object('userId', j.user_id)
    )
  from unstuck.jobs j
  where j.id = any (v_ids);
  return null;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.erased_user()
 RETURNS uuid
 LANGUAGE sql
 IMMUTABLE
AS $function$ select '00000000-0000-0000-0000-000000000000'::uuid $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.erasure_record(p_actor uuid, p_user_id uuid, p_was jsonb, p_reason text)
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  insert into unstuck.admin_log (actor, act, subject, "from", reason)
  select p_actor, 'user_erase', p_user_id::text, p_was, p_reason
  where p_was ->> 'jobs' <> '0'
    or p_was ->> 'entries' <> '0'
    or not exists (
      select
      from unstuck.erasures e
      where e.user_id = p_user_id
    );

  insert into unstuck.erasures (user_id)
  values (p_user_id)
  on conflict (user_id) do update
  set
    at = clock_timestamp(),
    files_left = null
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.gauges(p_now timestamp with time zone)
 RETURNS TABLE(name text, labels jsonb, value double precision)
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select g.name, jsonb_build_object('provider', p.provider), g.value
  from unstuck.providers p
  cross join lateral (
    values
      (
        'unstuck_slots_in_use',
        (
          select count(*)
          from unstuck.job_steps s
          where s.provider = p.provider and unstuck_private.holds_slot(s)
        )::double precision
      ),
      ('unstuck_slots_limit', unstuck_private.slot_limit(p, p_now)),
      (
        'unstuck_steps_waiting',
        (
          select count(*)
          from unstuck.job_steps s
          where s.provider = p.provider and s.status = 'queued'
        )
      ),
      ('unstuck_provider_enabled', p.enabled::int),
      ('unstuck_circuit_open', (p.circuit_open_until is not null)::int)
  ) as g (name, value)
  union all
  select
    case when m.healer like 'webhook:%' then 'unstuck_webhook_age_seconds'
      else 'unstuck_healer_age_seconds'
    end,
    case when m.healer like 'webhook:%'
      then jsonb_build_object('provider', substr(m.healer, 9))
      else jsonb_build_object('healer', m.healer)
    end,
    extract(epoch from p_now - m.seen_at)
  from unstuck_private.healer_marks m
  where m.seen_at is not null
    and m.healer <> 'receiver'
  union all
  select g.name, '{}', g.value
  from unstuck_private.sweep_newest() s
  cross join lateral (
    values
      ('unstuck_sweep_age_seconds', extract(epoch from p_now - s.finished_at)::float8),
      ('unstuck_stuck_jobs', s.stuck),
      ('unstuck_violations', s.violations)
  ) as g (name, value)
  where g.value is not null
  union all
  select 'unstuck_provider_balance', jsonb_build_object('provider', b.provider, 'unit', a.key),
    a.value::text::double precision
  from unstuck_private.provider_balances b
  cross join lateral jsonb_each(b.amounts) a
  where jsonb_typeof(a.value) = 'number'
  union all
  select 'unstuck_messages_owed', '{}', count(*)
  from unstuck.messages_owed m
  where m.sent_at is null and m.given_up_at is null
  union all
  select 'unstuck_counters_age_seconds', '{}', extract(epoch from p_now - c.at)
  from unstuck_private.counted_until c
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.give_turn(p_provider text, p_user_id uuid)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET enable_sort TO 'off'
 SET jit TO 'off'
AS $function$
declare
  v_now timestamptz := clock_timestamp();
  v_shut text[] := array(
    select t.tool
    from unstuck.tools t
    where t.circuit_open_until is not null
  );
  v_turns int;
  v_usable int;
  v_next unstuck.job_steps;
begin
  select count(*),
    count(*) filter (
      where s.turn_at <= v_now
        and s.line_tool <> all (v_shut)
        and unstuck_private.is_in_time(s, v_now)
    )
  into v_turns, v_usable
  from unstuck.job_steps s
  where s.provider = p_provider
    and s.line_user_id = p_user_id
    and s.status = 'queued'
    and s.turn_at is not null;
  if v_usable > 0 then
    return;
  end if;
  select s.*
  into v_next
  from unstuck.job_steps s
  where s.provider = p_provider
    and s.line_user_id = p_user_id
    and s.status = 'queued'
    and s.turn_at is null
    and coalesce(s.not_before <= v_now, true)
    and s.line_tool <> all (v_shut)
  order by s.turn_at, s.line_since, s.job_id, s.step
  limit 1;
  if not found and v_turns = 0 then
    select s.*
    into v_next
    from unstuck.job_steps s
    where s.provider = p_provider
      and s.line_user_id = p_user_id
      and s.status = 'queued'
      and s.turn_at is null
    order by s.turn_at, s.line_since, s.job_id, s.step
    limit 1;
  end if;
  if v_next.job_id is null then
    return;
  end if;
  perform 1
  from unstuck.job_steps s
  where s.job_id = v_next.job_id
    and s.step = v_next.step
    and s.status = 'queued'
  for update skip locked;
  if found then
    update unstuck.job_steps s
    set turn_at = greatest(v_now, s.not_before)
    where s.job_id = v_next.job_id
      and s.step = v_next.step;
  else
    insert into unstuck_private.turns_owed (provider, user_id)
    values (p_provider, p_user_id)
    on conflict do nothing;
  end if;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.grant_max()
 RETURNS bigint
 LANGUAGE sql
 IMMUTABLE
AS $function$ select 1000000000000 $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.has_adapter()
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  select exists (select from unstuck_private.installed)
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.has_due_jobs(p_user_id uuid, p_now timestamp with time zone)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
begin
  return exists (
    select from unstuck.jobs j
    join unstuck.tools t using (tool)
    join unstuck.providers p using (provider)
    where j.user_id = p_user_id
      and unstuck_private.is_live(j.status)
      and j.quarantined_at is null
      and (
        j.deadline_at <= p_now
        or coalesce(j.started_at, j.created_at) <= p_now - unstuck_private.lifetime_limit(
          t,
          p,
          j.total_steps,
          (
            select count(*)
            from unstuck.job_steps s
            where s.job_id = j.id
          )
        )
        or unstuck_private.is_left(j, p_now)
        or exists (
          select from unstuck.job_steps s
          where s.job_id = j.id
            and s.status in ('starting', 'running')
            and s.lease_until <= p_now
        )
      )
  );
exception when others then
  return true;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.has_ledger_entries(p_job_id uuid)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select exists (
    select
    from unstuck.credit_entries e
    where e.job_id = p_job_id
      and e.kind in ('debit', 'refund')
  )
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.has_ledger_mismatch(p_job unstuck.jobs)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select p_job.credits_refunded <> l.refunded or l.refunded > l.debit
  from (
    select
      coalesce(-sum(e.amount) filter (where e.kind = 'debit'), 0) as debit,
      coalesce(sum(e.amount) filter (where e.kind = 'refund'), 0) as refunded
    from unstuck.credit_entries e
    where e.job_id = p_job.id
      and e.kind in ('debit', 'refund')
  ) l
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.heal_app(p_until timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  begin
    perform unstuck_private.host_requests_carry_out(p_until);
  exception when others then
    raise warning 'host_requests_carry_out failed: %', sqlerrm;
  end;
  begin
    perform unstuck_private.projections_mend();
  exception when others then
    raise warning 'projections_mend failed: %', sqlerrm;
  end;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.healer_mark(p_healer text, p_at timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  insert into unstuck_private.healer_marks (healer)
  values (p_healer)
  on conflict do nothing;

  update unstuck_private.healer_marks m
  set seen_at = greatest(m.seen_at, p_at),
    asked_at = null
  where m.ctid = any (array(
    select h.ctid
    from unstuck_private.healer_marks h
    where h.healer = p_healer
    for update skip locked
  ));
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.holds_slot(p_step unstuck.job_steps)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select p_step.status in ('starting', 'running') and p_step.provider_done_at is null
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.host_enter(p_settings jsonb DEFAULT '{}'::jsonb)
 RETURNS jsonb
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  select unstuck_private.settings_swap(
    p_settings || jsonb_build_object(
      'request.jwt.claims', '{"role":"service_role"}',
      'request.jwt.claim.role', 'service_role',
      'request.jwt.claim.sub', ''
    )
  )
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.host_has_role(p_user_id uuid, p_role text)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'extensions'
AS $function$
declare
  v_role_type text;
  v_holds boolean;
begin
  select pg_catalog.format_type(t.oid, null)
  into v_role_type
  from pg_catalog.pg_proc p
  join pg_catalog.pg_type t on t.oid = p.proargtypes[1]
  where p.pronamespace = 'public'::regnamespace
    and p.proname = 'has_role'
    and p.prokind = 'f'
    and p.pronargs = 2
    and p.proargtypes[0] = 'uuid'::regtype
    and p.prorettype = 'boolean'::regtype
    and coalesce(pg_catalog.obj_description(p.oid, 'pg_proc'), '') not like 'Unstuck front of %'
    and (
      t.typcategory = 'S'
      or exists (
        select from pg_catalog.pg_enum e
        where e.enumtypid = t.oid and e.enumlabel = p_role
      )
    )
  order by t.typcategory
  limit 1;
  if not found then
    return null;
  end if;
  execute format('select public.has_role($1, $2::%s)', v_role_type)
  into v_holds
  using p_user_id, p_role;
  return coalesce(v_holds, false);
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.host_request_carry_out(p_job_id uuid)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_requests bigint[];
  v_is_by_user boolean;
begin
  if unstuck_private.jobs_try_lock(array[p_job_id]) = '{}' then
    -- Its account and its wallet are let go: the app's transaction may last.
    raise exception using errcode = 'lock_not_available';
  end if;
  v_requests := array(
    select r.id
    from unstuck.host_requests r
    where r.job_id = p_job_id
  );
  begin
    select bool_and(r.by_user)
    into v_is_by_user
    from unstuck.host_requests r
    join unstuck.jobs j on j.id = r.job_id
    join unstuck.projections p on p.tool = j.tool and p.host_table = r.host_table
    where r.id = any (v_requests)
      and (unstuck_private.projection_owner(p) is null or r.host_user = j.user_id);
    if v_is_by_user and exists (
      select from unstuck.jobs j
      join unstuck.tools t using (tool)
      where j.id = p_job_id
        and j.status in ('starting', 'running')
        and not t.user_cancel_running
    ) then
      insert into unstuck_private.unprojected (job_id)
      values (p_job_id);
    elsif v_is_by_user is not null then
      perform unstuck_private.act_as('app');
      perform unstuck_private.jobs_finalise_each(
        array[p_job_id], array['cancelled'], array['CANCELLED'], array['cancelled in the app.'],
        clock_timestamp() + interval '3 seconds');
    end if;
    delete from unstuck.host_requests r
    where r.id = any (v_requests);
  exception when others then
    update unstuck.host_requests r
    set error = sqlerrm
    where r.id = any (v_requests);
  end;
exception when lock_not_available then
  -- The requests stay as they are.
  null;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.host_requests_carry_out(p_until timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_job uuid;
begin
  delete from unstuck.host_requests r
  where r.id in (
    select g.id
    from unstuck.host_requests g
    where not exists (select from unstuck.jobs j where j.id = g.job_id)
    for update skip locked
  );
  for v_job in
    select r.job_id
    from unstuck.host_requests r
    group by r.job_id
    order by bool_or(r.error is not null), min(r.at)
    limit 200
  loop
    exit when clock_timestamp() > p_until;
    perform unstuck_private.host_request_carry_out(v_job);
  end loop;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.host_row_changed()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET lock_timeout TO '100ms'
AS $function$
declare
  v_user uuid;
begin
  if current_setting('unstuck.projecting', true) = 'on' then
    return null;
  end if;
  if tg_op = 'INSERT' then
    perform unstuck_private.host_row_take(tg_relid, to_jsonb(new));
    return null;
  end if;
  select to_jsonb(new) ->> unstuck_private.projection_owner(p)
  into v_user
  from unstuck.projections p
  where p.host_table = tg_relid
    and p.enabled
    and new.status is distinct from old.status
    and new.status::text in (p.statuses ->> 'failed', p.statuses ->> 'cancelled')
  limit 1;
  if not found then
    return null;
  end if;
  begin
    perform
    from unstuck.jobs j
    where j.id = new.id
      and unstuck_private.is_live(j.status);
    if not found then
      return null;
    end if;
  exception when lock_not_available then
    -- The next pass sees whether there is such a job.
    null;
  end;
  insert into unstuck.host_requests (job_id, host_table, host_user, by_user)
  values (new.id, tg_relid, v_user, unstuck_private.is_by_user(v_user));
  perform unstuck_private.host_request_carry_out(new.id);
  return null;
exception when lock_not_available then
  raise warning 'what was done to the row % of % is not recorded: %', new.id, tg_relid, sqlerrm;
  return null;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.host_row_take(p_host_table regclass, p_row jsonb)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_input jsonb := unstuck_private.legacy_input(p_row);
  v_tools text[] := array(
    select p.tool
    from unstuck.projections p
    where p.host_table = p_host_table
      and p.enabled
      and not exists (
        select from jsonb_each(p.columns) c
        where c.value ->> 'once' ~ '^''[^'']*''$'
          and p_row ->> c.key is distinct from trim(both '''' from c.value ->> 'once')
      )
  );
begin
  if auth.uid() is null
    or p_row ->> 'user_id' is distinct from auth.uid()::text
    or cardinality(v_tools) <> 1
    or octet_length(v_input::text) > 20000
    or (
      select count(*) filter (where j.status = 'pending') >= 20 or count(*) >= 200
      from unstuck.jobs j
      where j.user_id = auth.uid()
        and j.request_hash is null
        and j.created_at > clock_timestamp() - interval '1 hour'
    )
  then
    return;
  end if;
  insert into unstuck.jobs (id, tool, user_id, session_id, status, input)
  values (
    (p_row ->> 'id')::uuid, v_tools[1], auth.uid(), left(p_row ->> 'session_id', 200), 'pending',
    v_input)
  on conflict do nothing;
exception when others then
  raise warning 'the row % of % is not kept: %', p_row ->> 'id', p_host_table, sqlerrm;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.host_rows_lock(p_job_id uuid, p_tool text, p_wait_ms integer)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_until timestamptz := clock_timestamp() + p_wait_ms * interval '1 millisecond';
begin
  while not unstuck_private.host_rows_try_lock(p_job_id, p_tool) loop
    if clock_timestamp() >= v_until then
      raise lock_not_available using
        message = 'a transaction of the app holds a row of the job';
    end if;
    perform pg_sleep(0.01);
  end loop;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.host_rows_try_lock(p_job_id uuid, p_tool text)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_ids uuid[] := array(
    select unstuck_private.step_row_id(s)
    from unstuck.job_steps s
    where s.job_id = p_job_id
  );
  v_statement text;
begin
  select 'select ' || string_agg(
    format(
      '(select count(*) from (select from %s t where t.id = any ($1) order by t.id '
        || 'for no key update nowait) l)',
      p.host_table),
    ', ' order by p.level, p.host_table)
  into v_statement
  from unstuck.projections p
  where p.tool = p_tool
    and p.enabled;
  execute v_statement
  using v_ids || p_job_id;
  return true;
exception when lock_not_available then
  return false;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.id_beginning(p_text text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
AS $function$
  select case
    when p_text ~* '^[0-9a-f-]{4,36}$' and length(replace(p_text, '-', '')) between 4 and 32
      then lower(replace(p_text, '-', ''))
  end
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.intervals()
 RETURNS TABLE(orphan interval, grace interval, sql_wait interval, lease interval, check_every interval)
 LANGUAGE sql
 STABLE
AS $function$
  select
    interval '2 minutes',
    interval '2 minutes',
    interval '3 minutes',
    interval '90 seconds',
    interval '30 seconds'
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.is_admin()
 RETURNS boolean
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select auth.uid() is not null and unstuck.has_role(auth.uid(), 'admin')
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.is_apps_row(p_user_id uuid, p_job_id uuid, p_tool text)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO ''
 SET lock_timeout TO '200ms'
AS $function$
declare
  v_statement text;
  v_is_taken boolean;
begin
  select 'select ' || string_agg(
    format('coalesce((select %s from %s t where t.id = $1 for no key update nowait), false)',
      h.taken, h.host_table),
    ' or ' order by h.host_table)
  into v_statement
  from (
    select p.host_table,
      case
        when bool_or(p.tool = p_tool) then coalesce(string_agg(distinct c.taken, ' or '), 'false')
        else 'true'
      end as taken
    from unstuck.projections p
    cross join lateral (
      select nullif(
        concat_ws(' or ',
          '(' || p.begun || ') is true',
          't.' || quote_ident(unstuck_private.projection_owner(p)) || ' is distinct from $2'),
        '') as taken
    ) c
    where p.level = 'job'
    group by p.host_table
  ) h;
  if v_statement is null then
    return false;
  end if;
  -- The conditions are the app's words.
  perform set_config('search_path', 'public, extensions', true);
  execute v_statement
  into v_is_taken
  using p_job_id, p_user_id;
  return v_is_taken;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.is_at_work(p_job_id uuid)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select exists (
    select from unstuck.job_steps s
    where s.job_id = p_job_id
      and s.status in ('starting', 'running')
  )
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.is_by_user(p_user_id uuid)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select coalesce(p_user_id = auth.uid(), false) and not unstuck_private.is_admin()
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.is_call_on_behalf()
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  select coalesce(unstuck_private.caller_header() = 'service', false)
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.is_deployment_wrong(p_now timestamp with time zone)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select unstuck_private.other_deployment() is not null
    or exists (
      select from unstuck_private.deployment_alarms a
      where a.last_at > p_now - interval '10 minutes'
    )
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.is_final(p_status text)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select p_status in ('completed', 'failed', 'cancelled')
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.is_healers_call()
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  select coalesce(unstuck_private.caller_header() = 'healer', false)
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.is_in_time(p_step unstuck.job_steps, p_now timestamp with time zone)
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  select p_step.deadline_at > p_now or unstuck_private.is_at_work(p_step.job_id)
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.is_left(p_job unstuck.jobs, p_now timestamp with time zone)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
begin
  if p_job.status not in ('pending', 'queued')
    or p_job.session_id is null
    or p_job.retry_of is not null
  then
    return false;
  end if;
  return not exists (
      select from unstuck.job_events e
      where e.job_id = p_job.id and e.event = 'job_requeued'
    )
    and not exists (
      select from unstuck.job_steps w
      where w.job_id = p_job.id and (w.attempts > 0 or w.rescues > 0)
    )
    and exists (
      select from unstuck.sessions s
      where s.user_id = p_job.user_id
        and s.id = p_job.session_id
        and s.left_at <= p_now
        and (
          coalesce(p_job.queued_at, p_job.created_at) <= s.left_at
          or s.seen_at is not null
            and coalesce(p_job.queued_at, p_job.created_at)
              <= p_now - unstuck_private.session_silence()
        )
    );
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.is_live(p_status text)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select p_status in ('pending', 'queued', 'starting', 'running')
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.is_name_free(p_name text)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select not exists (
    select from pg_catalog.pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relname = p_name
  ) and not exists (
    select from pg_catalog.pg_proc p
    where p.pronamespace = 'public'::regnamespace and p.proname = p_name
  ) and not exists (
    select from pg_catalog.pg_type t
    where t.typnamespace = 'public'::regnamespace and t.typname = p_name
  )
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.is_orphan(p_job unstuck.jobs, p_before timestamp with time zone)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
begin
  return p_job.status in ('pending', 'queued')
    and p_job.quarantined_at is null
    and p_job.request_hash is null
    and p_job.started_at is null
    and coalesce(p_job.queued_at, p_job.created_at) <= p_before
    and not exists (
      select
      from unstuck.credit_entries e
      where e.job_id = p_job.id
        and e.kind = 'debit'
    )
    and not exists (
      select
      from unstuck.job_steps s
      where s.job_id = p_job.id
        and (s.provider_task_id is not null or s.claimed_at is not null)
    );
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.is_receiver_there()
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select exists (
    select from unstuck_private.healer_marks m
    where m.healer = 'receiver'
      and m.seen_at > clock_timestamp() - interval '1 day'
  )
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.is_reserved_attempt(p_step unstuck.job_steps, p_now timestamp with time zone)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select coalesce(p_step.checked_at > p_now - interval '45 seconds', false)
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.is_sql_scheduled()
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
begin
  if to_regclass('cron.job') is null then
    return false;
  end if;
  return exists (
    select from cron.job j
    where j.jobname = 'unstuck-cleanup' and j.active
  );
exception when insufficient_privilege then
  return false;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.is_stale_attempt(p_step unstuck.job_steps, p_now timestamp with time zone)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select p_step.status = 'running'
    and p_step.provider_done_at is null
    and coalesce(p_step.lease_until, p_step.deadline_at) <= p_now
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.is_task_of_other_run(p_step unstuck.job_steps, p_run bigint, p_task_id text)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
begin
  return exists (
    select
    from unstuck.job_events e
    where e.job_id = p_step.job_id
      and e.step = p_step.step
      and e.detail -> 'last_task' @> jsonb_build_object('run', p_run)
      and e.detail -> 'last_task' ->> 'task_id' <> p_task_id
  );
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.is_task_of_other_step(p_step unstuck.job_steps, p_task_id text)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
begin
  return
    exists (
      select from unstuck.job_steps o
      where o.provider = p_step.provider
        and o.provider_task_id = p_task_id
        and (o.job_id, o.step) <> (p_step.job_id, p_step.step)
    )
    or exists (
      select from unstuck.job_steps o
      where o.provider = p_step.provider
        and o.provider_cancel_due <> '[]'
        and o.provider_cancel_due @> jsonb_build_array(jsonb_build_object('task_id', p_task_id))
        and (o.job_id, o.step) <> (p_step.job_id, p_step.step)
    );
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.job_lifetime(p_tool text, p_steps integer)
 RETURNS interval
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
begin
  return (
    select unstuck_private.tool_lifetime(t, p, p_steps)
    from unstuck.tools t
    join unstuck.providers p using (provider)
    where t.tool = p_tool
  );
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.job_lock(p_job_id uuid)
 RETURNS unstuck.jobs
 LANGUAGE plpgsql
 SET search_path TO ''
 SET lock_timeout TO '5s'
AS $function$
declare
  v_user uuid;
  v_tool text;
  v_job unstuck.jobs;
begin
  if unstuck_private.is_healers_call() then
    set local lock_timeout = '20ms';
  end if;
  select j.user_id, j.tool
  into v_user, v_tool
  from unstuck.jobs j
  where j.id = p_job_id;
  if not found then
    return null;
  end if;
  perform unstuck_private.account_lock(v_user);
  perform unstuck_private.wallet_hold(v_user, v_tool);
  select *
  into v_job
  from unstuck.jobs j
  where j.id = p_job_id
  for update;
  if v_job.user_id is distinct from v_user then
    perform unstuck_private.account_drop_empty(v_user);
  end if;
  return v_job;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.job_outputs(p_job unstuck.jobs, p_tool unstuck.tools)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
declare
  v_kind text := unstuck_private.output_kind(p_tool.table_name);
begin
  if p_tool.step_order = 'parallel' then
    return (
      select coalesce(
        jsonb_agg(
          jsonb_build_object(
            'index', s.step - 1,
            'url', case
              when s.status = 'completed'
                and (p_job.refund_rule = 'per_step' or p_job.status = 'completed')
              then s.output_url
            end,
            'kind', v_kind,
            'error', unstuck_private.public_error(s.error_code, s.error_message)
          )
          order by s.step
        ),
        '[]')
      from unstuck.job_steps s
      where s.job_id = p_job.id
        and unstuck_private.is_final(s.status)
    );
  end if;
  if p_job.status = 'completed' and p_job.output_url is not null then
    return jsonb_build_array(jsonb_build_object(
      'index', 0, 'url', p_job.output_url, 'kind', v_kind, 'error', null));
  end if;
  return '[]';
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.job_position(p_job_id uuid)
 RETURNS TABLE("position" integer, eta_seconds integer)
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
declare
  v_now timestamptz := clock_timestamp();
  v_step unstuck.job_steps;
  v_position bigint;
  v_seconds numeric;
  v_times unstuck_private.tool_time[];
begin
  select s.*
  into v_step
  from unstuck.job_steps s
  join unstuck.jobs j on j.id = s.job_id
  where s.job_id = p_job_id
    and s.status = 'queued'
    and j.status = 'queued'
  order by s.step
  limit 1;
  if not found then
    return;
  end if;
  v_times := unstuck_private.tool_times(v_step.provider);
  select sum(a.jobs), sum(a.steps * coalesce(t.seconds, 60))
  into v_position, v_seconds
  from unstuck_private.steps_ahead(v_step, v_now) a
  left join unnest(v_times) t on t.tool = a.tool;
  return query
  select
    coalesce(v_position, 0)::int + 1,
    least(
      ceil(
        greatest(
          unstuck_private.seconds_until_work_done(
            v_step.provider, v_times, coalesce(v_seconds, 0)),
          unstuck_private.seconds_between(
            v_now, greatest(v_step.not_before, u.circuit_open_until, p.circuit_open_until)
          ),
          1
        )
      ),
      2147483647
    )::int
  from unstuck.tools u
  cross join unstuck.providers p
  where u.tool = v_step.line_tool
    and p.provider = v_step.provider;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.job_project(p_job_id uuid, p_projection unstuck.projections, p_wait_ms integer)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_before jsonb;
  v_error text := 'no time was left';
begin
  if p_wait_ms is not null then
    begin
      v_before := unstuck_private.host_enter(
        p_projection.settings || jsonb_build_object(
          'lock_timeout', p_wait_ms || 'ms', 'unstuck.projecting', 'on'));
      perform set_config('search_path', 'public, extensions', true);
      perform unstuck_private.host_rows_lock(p_job_id, p_projection.tool, p_wait_ms);
      execute unstuck_private.projection_statement(p_projection)
      using p_job_id, p_projection.statuses;
      set constraints all immediate;
      perform unstuck_private.settings_swap(v_before);
      v_error := null;
    exception when others then
      v_error := sqlerrm;
    end;
  end if;
  if v_error is null then
    update unstuck.projection_errors e
    set mended_at = clock_timestamp()
    where e.job_id = p_job_id
      and e.host_table = p_projection.host_table
      and e.mended_at is null;
    return;
  end if;
  insert into unstuck.projection_errors as e (tool, host_table, job_id, error)
  values (p_projection.tool, p_projection.host_table, p_job_id, v_error)
  on conflict (job_id, host_table)
  where mended_at is null
  do update
  set error = excluded.error,
    tries = e.tries + 1;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.job_quarantine_parts(p_job_id uuid, p_reason text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_step int;
  v_now timestamptz := clock_timestamp();
begin
  begin
    update unstuck.jobs
    set quarantined_at = v_now,
      exclusive_key = null
    where id = p_job_id
      and quarantined_at is null;
  exception when others then
    null;
  end;
  for v_step in
    select s.step
    from unstuck.job_steps s
    where s.job_id = p_job_id
      and not unstuck_private.is_final(s.status)
  loop
    begin
      update unstuck.job_steps s
      set status = 'failed',
        error_code = 'CREDIT_ERROR',
        error_message = 'CREDIT_ERROR: kept for an operator.',
        completed_at = v_now,
        lease_until = null,
        provider_cancel_due = unstuck_private.cancel_debt_with(s)
      where s.job_id = p_job_id
        and s.step = v_step;
    exception when others then
      null;
    end;
  end loop;
  begin
    insert into unstuck_private.unhealed as u (job_id, retry_at, reason)
    values (p_job_id, v_now + interval '1 minute', p_reason)
    on conflict (job_id) do update
    set tries = u.tries + 1,
      retry_at = v_now + least(u.tries + 1, 60) * interval '1 minute',
      reason = excluded.reason;
    insert into unstuck.job_events (job_id, event, actor, detail)
    values (p_job_id, 'quarantine_failed', 'sweep', jsonb_build_object('reason', p_reason));
  exception when others then
    null;
  end;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.job_receipt(p_job_id uuid)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
AS $function$
  select e.receipt
  from unstuck.credit_entries e
  where e.job_id = p_job_id
    and e.kind = 'debit'
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.job_repeat(p_job unstuck.jobs, p_tool unstuck.tools, p_charge boolean, p_new_job_id uuid)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
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
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.job_restart(p_job unstuck.jobs, p_tool unstuck.tools, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  update unstuck.jobs j
  set expires_at = p_now + unstuck_private.job_lifetime(j.tool, j.total_steps),
    deadline_at = p_now + p_tool.queue_ttl,
    retries = 0
  where j.id = p_job.id;

  update unstuck.job_steps s
  set status = 'queued',
    attempts = 0,
    rescues = 0,
    not_before = null,
    sent_at = null,
    started_at = null,
    claimed_at = null,
    lease_until = null,
    provider_cancel_due = unstuck_private.cancel_debt_with(s),
    provider_task_id = null,
    run = s.run + 1,
    deadline_at = p_now + p_tool.queue_ttl
  where s.job_id = p_job.id
    and s.status in ('starting', 'running', 'queued')
    and s.provider_done_at is null
    and (s.status = 'queued' or coalesce(s.lease_until, s.deadline_at) <= p_now);

  update unstuck.job_steps s
  set deadline_at = j.expires_at,
    lease_until = null
  from unstuck.jobs j
  where j.id = s.job_id
    and s.job_id = p_job.id
    and not unstuck_private.is_final(s.status)
    and (s.status = 'blocked' or s.provider_done_at is not null);

  select unstuck_private.job_sync_from_steps(array[p_job.id]);

  insert into unstuck.job_events (job_id, event, from_status, to_status, actor)
  select j.id, 'job_requeued', p_job.status, j.status,
    nullif(current_setting('unstuck.actor', true), '')
  from unstuck.jobs j
  where j.id = p_job.id
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.job_retry(p_job unstuck.jobs, p_charge boolean, p_new_job_id uuid, OUT job_id uuid, OUT is_new boolean)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_tool unstuck.tools;
  v_now timestamptz := clock_timestamp();
begin
  select *
  into v_tool
  from unstuck.tools t
  where t.tool = p_job.tool;
  is_new := true;
  if unstuck_private.is_live(p_job.status) then
    -- The steps of a quarantined job have ended: an admin cancels it first, then retries it.
    if p_job.status = 'pending'
      or p_job.quarantined_at is not null
      or not exists (
        select
        from unstuck.job_steps s
        where s.job_id = p_job.id
          and not unstuck_private.is_final(s.status)
          and (
            s.lease_until <= v_now
            -- The deadline of a queued step is paused while another step is at work.
            or s.deadline_at <= v_now
              and not (s.status = 'queued' and unstuck_private.is_in_time(s, v_now))
          )
      )
    then
      perform unstuck_private.refuse(
        409, 'in_progress',
      jsonb_build_object('status', unstuck_private.public_status(p_job.status)));
    end if;
    perform unstuck_private.job_restart(p_job, v_tool, v_now);
    job_id := p_job.id;
    return;
  end if;
  select j.id
  into job_id
  from unstuck.jobs j
  where j.retry_of = p_job.id
    and (j.id = p_new_job_id or unstuck_private.is_live(j.status))
  order by j.id = p_new_job_id desc
  limit 1;
  is_new := not found;
  if is_new then
    perform unstuck_private.job_repeat(p_job, v_tool, p_charge, p_new_job_id);
    job_id := p_new_job_id;
  end if;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.job_shown(p_job unstuck.jobs)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
declare
  v_tool unstuck.tools;
  v_place record;
  v_is_busy boolean := false;
  v_waits boolean := p_job.status in ('pending', 'queued');
begin
  select t.*
  into v_tool
  from unstuck.tools t
  where t.tool = p_job.tool;
  select p."position", p.eta_seconds
  into v_place
  from unstuck_private.job_position(p_job.id) p
  where v_waits;
  if v_waits then
    v_is_busy := unstuck_private.waits_for_capacity(p_job);
  end if;
  return jsonb_build_object(
    'id', p_job.id,
    'tool', p_job.tool,
    'status', unstuck_private.public_status(p_job.status),
    'position', v_place."position",
    'etaSeconds', case when v_waits then coalesce(v_place.eta_seconds, 0) end,
    'creditsCharged', p_job.credits_charged,
    'creditsRefunded', p_job.credits_refunded,
    'outputs', unstuck_private.job_outputs(p_job, v_tool),
    'error', case
      when v_is_busy then unstuck_private.public_error(
        'PROVIDER_BUSY', 'the provider is full; the job keeps its turn.')
      else unstuck_private.public_error(p_job.error_code, p_job.error_message)
    end,
    'createdAt', p_job.created_at,
    'startedAt', p_job.started_at,
    'completedAt', p_job.completed_at
  );
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.job_state(p_job_id uuid)
 RETURNS TABLE(job_id uuid, status text, replayed boolean, credits_charged bigint, balance bigint, "position" integer, eta_seconds integer, task_id text, output_url text, error_code text, error_message text, credits_refunded bigint)
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
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
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.job_steps_before_insert()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_job unstuck.jobs;
  v_tool unstuck.tools;
begin
  select j.*
  into v_job
  from unstuck.jobs j
  where j.id = new.job_id;
  if not found then
    -- The foreign key refuses the row.
    return new;
  end if;
  select t.*
  into v_tool
  from unstuck.tools t
  where t.tool = v_job.tool;
  new.provider := coalesce(new.provider, v_tool.provider);
  new.deadline_at := coalesce(
    new.deadline_at,
    case
      when new.status = 'blocked' then v_job.expires_at
      when new.status = 'queued' then v_job.deadline_at
      else
        coalesce(new.sent_at, new.started_at, v_job.started_at, v_job.created_at)
        + v_tool.run_timeout
    end
  );
  new.line_tool := v_job.tool;
  if new.status = 'queued' then
    new.line_user_id := v_job.user_id;
    new.line_since := coalesce(v_job.queued_at, v_job.created_at);
    new.turn_at := unstuck_private.take_turn(
      new.provider, new.line_user_id, greatest(new.line_since, new.not_before));
  elsif unstuck_private.is_final(new.status) then
    new.completed_at := coalesce(new.completed_at, clock_timestamp());
  end if;
  return new;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.job_steps_before_update()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  if unstuck_private.is_final(old.status) and new.status is distinct from old.status then
    raise exception 'step %/% is final (%), it cannot become %',
      old.job_id, old.step, old.status, new.status
    using errcode = 'check_violation';
  end if;
  if new.status = 'queued' and (old.status <> 'queued' or new.line_user_id is null) then
    select j.user_id, j.tool, coalesce(j.queued_at, j.created_at),
      unstuck_private.take_turn(
        new.provider,
        j.user_id,
        greatest(
          coalesce(old.turn_at, b.claimed_at, j.queued_at, j.created_at),
          case when new.not_before > clock_timestamp() then new.not_before end
        )
      )
    into new.line_user_id, new.line_tool, new.line_since, new.turn_at
    from unstuck.jobs j
    left join unstuck.job_steps b
      on b.job_id = j.id
      and b.step = new.step - 1
      and old.status = 'blocked'
    where j.id = new.job_id;
  elsif new.status <> 'queued' and old.status = 'queued' then
    new.line_user_id := null;
  elsif new.status = 'queued'
    and new.not_before is distinct from old.not_before
    and new.turn_at = old.turn_at
  then
    new.turn_at := case
      when new.not_before > clock_timestamp() then greatest(old.turn_at, new.not_before)
      else least(old.turn_at, clock_timestamp())
    end;
  end if;
  if new.deadline_at < old.deadline_at
    and (new.status, new.run) = (old.status, old.run)
    and new.status in ('starting', 'running')
  then
    update unstuck.jobs set
      deadline_at = new.deadline_at
    where id = new.job_id
      and deadline_at > new.deadline_at
      and unstuck_private.is_live(status);
  end if;
  return new;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.job_steps_log()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
 SET enable_nestloop TO 'off'
AS $function$
begin
  insert into unstuck.job_events (
    job_id, step, run, event, from_status, to_status, actor, detail
  )
  select
    n.job_id,
    n.step,
    n.run,
    case when n.status <> o.status then 'step_' || n.status else 'step_rerun' end,
    o.status,
    n.status,
    nullif(current_setting('unstuck.actor', true), ''),
    nullif(
      jsonb_strip_nulls(jsonb_build_object(
        'error_code', n.error_code,
        'last_task', case
          when o.provider_task_id is not null and n.provider_task_id is null then
            jsonb_build_object('task_id', o.provider_task_id, 'run', o.run)
        end
      )),
      '{}'
    )
  from new_rows n
  join old_rows o using (job_id, step)
  where n.status <> o.status
    or n.run <> o.run;
  return null;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.job_steps_summary(p_job unstuck.jobs, p_tool unstuck.tools, p_provider unstuck.providers, p_now timestamp with time zone)
 RETURNS TABLE(steps bigint, done bigint, live bigint, working bigint, at_provider boolean, leased boolean, rescuable boolean, retryable boolean, undelivered boolean, working_deadline timestamp with time zone, lifetime interval)
 LANGUAGE sql
 STABLE
AS $function$
  select
    count(*),
    count(*) filter (where s.status = 'completed'),
    count(*) filter (where not unstuck_private.is_final(s.status)),
    count(*) filter (where s.status in ('starting', 'running')),
    -- at_provider: an asynchronous provider has the step. SQL waits 3 minutes past the deadline for
    -- an edge healer, which can query the provider.
    bool_or(unstuck_private.holds_slot(s) and s.sent_at is not null and not p.synchronous),
    -- leased: a worker waits for a synchronous provider.
    bool_or(
      s.status in ('starting', 'running') and p.synchronous and s.lease_until > p_now
    ),
    -- rescuable: `steps_rescue` puts the step back into the queue.
    bool_or(p_now < p_job.expires_at and unstuck_private.can_requeue(s, p_tool, p)),
    -- retryable: the cleanup that calls the tool's function retries the step. SQL cannot, and waits
    -- 3 minutes past the deadline for that cleanup.
    bool_or(
      p_now < p_job.expires_at
      and s.status = 'running'
      and p.retried_by_function
      and s.provider_done_at is null
      and s.lease_until is not null
      and s.attempts < p_tool.attempt_max
    ),
    -- undelivered: the provider finished, and the result is not in our storage.
    bool_or(s.provider_done_at is not null and not unstuck_private.is_final(s.status)),
    min(s.deadline_at) filter (where s.status in ('starting', 'running')),
    unstuck_private.lifetime_limit(p_tool, p_provider, p_job.total_steps, count(*))
  from unstuck.job_steps s
  join unstuck.providers p using (provider)
  where s.job_id = p_job.id
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.job_steps_unaudited()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
 SET enable_nestloop TO 'off'
AS $function$
begin
  if tg_op = 'UPDATE' then
    insert into unstuck_private.unaudited (job_id)
    select distinct job_id
    from old_rows o
    full join new_rows n using (job_id, step)
    where row(n.status, n.share) is distinct from row(o.status, o.share);
  elsif tg_op = 'DELETE' then
    insert into unstuck_private.unaudited (job_id)
    select distinct o.job_id
    from old_rows o;
  else
    insert into unstuck_private.unaudited (job_id)
    select distinct n.job_id
    from new_rows n;
  end if;
  return null;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.job_steps_unprojected()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
 SET enable_nestloop TO 'off'
AS $function$
begin
  if not exists (select from unstuck.projections p where p.enabled) then
    return null;
  end if;
  insert into unstuck_private.unprojected (job_id)
  select distinct n.job_id
  from new_rows n
  join old_rows o on o.job_id = n.job_id and o.step = n.step
  join unstuck.jobs j on j.id = n.job_id
  where row(n.status, n.provider_task_id, n.attempts, n.output_url, n.error_message)
    is distinct from row(o.status, o.provider_task_id, o.attempts, o.output_url, o.error_message)
    and j.tool in (select p.tool from unstuck.projections p where p.enabled);
  return null;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.job_summary(p_job unstuck.jobs)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select jsonb_build_object(
    'jobId', p_job.id,
    'table', (select t.table_name from unstuck.tools t where t.tool = p_job.tool),
    'tool', p_job.tool,
    'userId', p_job.user_id,
    'status', p_job.status,
    'errorCode', p_job.error_code,
    'creditsCharged', p_job.credits_charged,
    'creditsRefunded', p_job.credits_refunded,
    'createdAt', p_job.created_at,
    'completedAt', p_job.completed_at
  )
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.job_sync_from_steps(p_job_ids uuid[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
begin
  if cardinality(p_job_ids) > 10 then
    perform set_config('plan_cache_mode', 'force_custom_plan', true);
  end if;
  update unstuck.jobs j
  set status = s.status,
    current_step = s.current_step,
    deadline_at = least(coalesce(s.deadline_at, j.deadline_at), j.expires_at),
    started_at = case when s.worked then coalesce(j.started_at, s.started_at) end
  from (
    select st.job_id,
      case
        when bool_or(st.status in ('running', 'completed', 'failed')) then 'running'
        when bool_or(st.status = 'starting') then 'starting'
        else 'queued'
      end as status,
      count(*) filter (where st.status in ('completed', 'failed'))
        + (
          max(t.step_order) = 'sequential'
          and bool_or(st.status in ('starting', 'running'))
        )::int as current_step,
      coalesce(
        min(st.deadline_at) filter (where st.status in ('starting', 'running')),
        max(st.deadline_at) filter (where st.status = 'queued')
      ) as deadline_at,
      bool_or(st.started_at is not null or st.sent_at is not null) as worked,
      min(coalesce(st.started_at, st.sent_at)) as started_at
    from unstuck.job_steps st
    join unstuck.jobs jj on jj.id = st.job_id
    join unstuck.tools t using (tool)
    where st.job_id = any (p_job_ids)
    group by st.job_id
  ) s
  where j.id = s.job_id
    and unstuck_private.is_live(j.status);
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.job_write(p_user_id uuid, p_job_id uuid, p_tool unstuck.tools, p_session_id text, p_input jsonb, p_request_hash text, p_steps jsonb, p_price bigint, p_balance bigint, p_retry_of uuid)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO ''
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
declare
  v_now timestamptz := clock_timestamp();
  v_steps int := jsonb_array_length(p_steps);
  v_expires timestamptz := v_now + unstuck_private.job_lifetime(p_tool.tool, v_steps);
  v_deadline timestamptz := least(v_now + p_tool.queue_ttl, v_expires);
  v_key text := p_tool.exclusive_group || ':' || p_user_id;
  v_taken bigint := unstuck_private.order_debit(
    p_user_id, p_job_id, p_tool.tool, p_price, p_balance);
begin
  perform 1
  from unstuck.jobs j
  where j.id = p_job_id;
  if found then
    -- Adopt the row that an older client inserted: every column of times and credits is
    -- overwritten.
    update unstuck.jobs set
      status = 'queued',
      session_id = coalesce(p_session_id, session_id),
      credits_charged = v_taken,
      credits_refunded = 0,
      refund_rule = p_tool.refund_rule,
      exclusive_key = v_key,
      input = p_input,
      total_steps = v_steps,
      current_step = 0,
      retries = 0,
      quarantined_at = null,
      request_hash = p_request_hash,
      queued_at = v_now,
      created_at = v_now,
      started_at = null,
      deadline_at = v_deadline,
      expires_at = v_expires,
      completed_at = null,
      waited_in_queue = false,
      output = null,
      output_url = null,
      error_code = null,
      error_message = null
    where id = p_job_id
      and user_id = p_user_id
      and request_hash is null;
  end if;
  if not found then
    insert into unstuck.jobs (
      id, tool, user_id, session_id, status, credits_charged, refund_rule, exclusive_key, input,
      total_steps, request_hash, retry_of, queued_at, created_at, deadline_at, expires_at
    )
    values (
      p_job_id, p_tool.tool, p_user_id, p_session_id, 'queued', v_taken, p_tool.refund_rule,
      v_key, p_input, v_steps, p_request_hash, p_retry_of, v_now, v_now, v_deadline, v_expires
    );
  end if;
  insert into unstuck.job_steps (job_id, step, status, provider, share, deadline_at, input)
  select
    p_job_id,
    s.step,
    case when s.step > 1 and p_tool.step_order = 'sequential' then 'blocked' else 'queued' end,
    p_tool.provider,
    unstuck_private.share_of(v_taken, v_steps, s.step::int),
    case
      when s.step > 1 and p_tool.step_order = 'sequential' then v_expires
      else v_deadline
    end,
    s.input
  from jsonb_array_elements(p_steps) with ordinality as s (input, step);
  return v_taken;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.jobs_before_insert()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_tool unstuck.tools;
  v_from timestamptz;
begin
  select t.*
  into v_tool
  from unstuck.tools t
  where t.tool = new.tool;
  if not found then
    -- The foreign key refuses the row.
    return new;
  end if;
  new.refund_rule := coalesce(new.refund_rule, v_tool.refund_rule);
  v_from := coalesce(new.started_at, new.created_at);
  new.expires_at := coalesce(
    new.expires_at,
    v_from + unstuck_private.job_lifetime(new.tool, new.total_steps)
  );
  new.deadline_at := coalesce(
    new.deadline_at,
    case new.status
      when 'pending' then v_from + (select i.orphan from unstuck_private.intervals() i)
      when 'queued' then v_from + v_tool.queue_ttl
      else v_from + v_tool.run_timeout
    end
  );
  new.request_id := coalesce(
    new.request_id,
    left(unstuck_private.request_header('x-unstuck-request'), 100)
  );
  if unstuck_private.is_final(new.status) then
    new.completed_at := coalesce(new.completed_at, new.updated_at);
  end if;
  return new;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.jobs_before_update()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  if unstuck_private.is_final(old.status)
    and new.status is distinct from old.status
    and not (
      old.status = 'cancelled'
      and old.error_code = 'ORPHANED'
      and new.status = 'queued'
    )
  then
    raise exception 'job % is final (%), it cannot become %', old.id, old.status, new.status
    using errcode = 'check_violation';
  end if;
  -- Retention empties the input of a final job; `updated_at` stays.
  if unstuck_private.is_final(old.status)
    and new.status = old.status
    and new.user_id = old.user_id
    and new.input = '{}'
    and old.input <> '{}'
  then
    return new;
  end if;
  -- A pending row that was inserted with a key starts while another live job has the key: it gives
  -- the key up, because a paid job must not fail for it.
  if old.status = 'pending'
    and new.status in ('queued', 'starting', 'running')
    and new.exclusive_key = old.exclusive_key
    and exists (
      select
      from unstuck.jobs j
      where j.exclusive_key = new.exclusive_key
        and j.status in ('queued', 'starting', 'running')
    )
  then
    new.exclusive_key := null;
  end if;
  new.updated_at := clock_timestamp();
  return new;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.jobs_due(p_now timestamp with time zone, p_ids uuid[])
 RETURNS TABLE(job_id uuid, user_id uuid, status text, code text, message text)
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  with judged as (
    select c.*, s.*, i.sql_wait,
      coalesce(c.started_at, c.created_at) <= p_now - s.lifetime
        -- An admin's requeue restarts the count.
        and not exists (
          select from unstuck.job_events e
          where e.job_id = c.id and e.event = 'job_requeued'
            and e.at > p_now - s.lifetime
        ) as too_old,
      -- A paid row is no orphan, even a pending one: it waits like a queued one.
      c.status = 'pending'
        and c.request_hash is null
        and not exists (
          select from unstuck.credit_entries e
          where e.job_id = c.id and e.kind = 'debit'
        ) as orphan,
      coalesce(c.queued_at, c.created_at) <= p_now - t.queue_ttl as waited_out,
      unstuck_private.is_left(c, p_now) as is_left
    from unnest(p_ids) as n (id)
    join unstuck.jobs c on c.id = n.id
    join unstuck.tools t using (tool)
    join unstuck.providers tp on tp.provider = t.provider
    cross join unstuck_private.intervals() i
    cross join lateral unstuck_private.job_steps_summary(c, t, tp, p_now) s
    where unstuck_private.is_live(c.status)
      and c.quarantined_at is null
      and not exists (
        select from unstuck_private.unhealed u
        where u.job_id = c.id and u.retry_at > p_now
      )
  )
  select j.id, j.user_id,
    case
      when j.is_left or j.orphan then 'cancelled'
      when j.refund_rule = 'per_step' and j.done > 0 then 'completed'
      else 'failed'
    end,
    case
      when j.is_left then 'CANCELLED'
      when j.orphan then 'ORPHANED'
      when j.undelivered then 'DELIVERY_FAILED'
      when j.status in ('pending', 'queued') and j.steps > 0 then 'QUEUE_TIMEOUT'
      else 'TIMEOUT'
    end,
    case
      when j.is_left then 'the page was closed.'
      when j.orphan then 'never started; nothing was charged.'
      when j.undelivered then 'the result could not be stored.'
      else unstuck_private.timeout_message(
        j.status in ('pending', 'queued'),
        coalesce(j.started_at, j.queued_at, j.created_at),
        p_now)
    end
  from judged j
  where case
    when j.too_old or j.is_left then true
    when j.deadline_at > p_now then false
    when j.status = 'pending' then j.orphan or j.waited_out
    when j.steps = 0 or j.live = 0 then true
    when j.expires_at <= p_now then
      not coalesce(j.at_provider, false)
      or coalesce(j.working_deadline, j.expires_at) <= p_now - j.sql_wait
    when j.working = 0 then true
    when j.at_provider then least(j.working_deadline, j.deadline_at) <= p_now - j.sql_wait
    when j.leased or j.rescuable then false
    when j.retryable then j.working_deadline <= p_now - j.sql_wait
    else j.working_deadline <= p_now
  end
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.jobs_due_each(p_now timestamp with time zone, p_ids uuid[], OUT ids uuid[], OUT statuses text[], OUT codes text[], OUT messages text[])
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_half int := coalesce(cardinality(p_ids), 0) / 2;
  v_first record;
  v_second record;
begin
  if coalesce(cardinality(p_ids), 0) = 0 then
    return;
  end if;
  begin
    select array_agg(d.job_id), array_agg(d.status), array_agg(d.code), array_agg(d.message)
    into ids, statuses, codes, messages
    from unstuck_private.jobs_due(p_now, p_ids) d;
    return;
  exception when others then
    if cardinality(p_ids) = 1 then
      perform unstuck_private.jobs_quarantine(p_ids, sqlerrm);
      return;
    end if;
  end;
  v_first := unstuck_private.jobs_due_each(p_now, p_ids[:v_half]);
  v_second := unstuck_private.jobs_due_each(p_now, p_ids[v_half + 1:]);
  ids := v_first.ids || v_second.ids;
  statuses := v_first.statuses || v_second.statuses;
  codes := v_first.codes || v_second.codes;
  messages := v_first.messages || v_second.messages;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.jobs_ended(p_from timestamp with time zone, p_to timestamp with time zone)
 RETURNS SETOF unstuck.jobs
 LANGUAGE sql
 STABLE
AS $function$
  select *
  from unstuck.jobs j
  where j.updated_at > p_from - interval '1 minute'
    and j.completed_at > p_from
    and j.completed_at <= p_to
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.jobs_finalise(p_ids uuid[], p_statuses text[], p_codes text[], p_messages text[], p_refund boolean DEFAULT true, p_output jsonb DEFAULT NULL::jsonb, p_output_url text DEFAULT NULL::text)
 RETURNS TABLE(job_id uuid, tool text, status text, refunded bigint)
 LANGUAGE plpgsql
 SET search_path TO ''
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_ids uuid[];
  v_statuses text[];
  v_codes text[];
  v_messages text[];
begin
  if cardinality(p_ids) > 10 then
    perform set_config('plan_cache_mode', 'force_custom_plan', true);
  end if;
  select array_agg(c.id), array_agg(c.status), array_agg(c.code), array_agg(c.message)
  into v_ids, v_statuses, v_codes, v_messages
  from unnest(p_ids, p_statuses, p_codes, p_messages) as c (id, status, code, message)
  join unstuck.jobs j using (id)
  where unstuck_private.is_live(j.status);

  if exists (
    select from unstuck.job_steps s
    where s.job_id = any (v_ids)
      and not unstuck_private.is_final(s.status)
  ) then
    update unstuck.job_steps s
    set status = case c.status when 'cancelled' then 'cancelled' else 'failed' end,
      error_code = coalesce(c.code, 'CANCELLED'),
      error_message = coalesce(c.code, 'CANCELLED') || ': ' || c.message,
      completed_at = v_now,
      lease_until = null,
      checked_at = null,
      provider_cancel_due = unstuck_private.cancel_debt_with(s)
    from unnest(v_ids, v_statuses, v_codes, v_messages) as c (id, status, code, message)
    where s.job_id = c.id
      and not unstuck_private.is_final(s.status);
  end if;

  return query
  update unstuck.jobs j
  set status = c.status,
    credits_charged = r.debit,
    credits_refunded = least(r.refunded::numeric + r.given, r.debit),
    error_code = case when c.status <> 'completed' then c.code end,
    error_message = case when c.status <> 'completed' then
      c.code || ': ' || c.message
      || case when r.given > 0 then format(' %s credits were returned.', r.given) else '' end
      || case
        when r.refunded::numeric + r.given > r.debit then
          format(' The ledger shows %s credits returned of %s.',
            r.refunded::numeric + r.given, r.debit)
        else ''
      end
    end,
    current_step = case when c.status = 'completed' then j.total_steps else j.current_step end,
    output = coalesce(p_output, j.output),
    output_url = coalesce(p_output_url, j.output_url),
    completed_at = v_now,
    deadline_at = least(j.deadline_at, v_now)
  from unnest(v_ids, v_statuses, v_codes, v_messages) as c (id, status, code, message)
  join unstuck_private.jobs_refund(v_ids, v_statuses, v_codes, p_refund) r on r.job_id = c.id
  where j.id = c.id
  returning j.id, j.tool, j.status, r.given;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.jobs_finalise_each(p_ids uuid[], p_statuses text[], p_codes text[], p_messages text[], p_until timestamp with time zone, p_limit integer DEFAULT 2147483647)
 RETURNS TABLE(job_id uuid, tool text, status text, refunded bigint)
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
#variable_conflict use_column
declare
  v_odd uuid[];
  v_count int;
  v_half int;
begin
  if coalesce(cardinality(p_ids), 0) = 0 or clock_timestamp() > p_until then
    return;
  end if;
  v_odd := array(
    select j.id
    from unstuck.jobs j
    where j.id = any (p_ids)
      and unstuck_private.has_ledger_mismatch(j)
  );
  if v_odd <> '{}' then
    perform unstuck_private.jobs_quarantine(
      v_odd, 'credits_refunded does not agree with the ledger');
    select array_agg(c.id), array_agg(c.status), array_agg(c.code), array_agg(c.message)
    into p_ids, p_statuses, p_codes, p_messages
    from unnest(p_ids, p_statuses, p_codes, p_messages) as c (id, status, code, message)
    where c.id <> all (v_odd);
  end if;
  p_ids := p_ids[:p_limit];
  v_count := coalesce(cardinality(p_ids), 0);
  v_half := v_count / 2;
  begin
    -- `jobs_finalise` returns its rows at its end, so a failure leaves none behind.
    return query
    select c.job_id, c.tool, c.status, c.refunded
    from unstuck_private.jobs_finalise(p_ids, p_statuses, p_codes, p_messages) c;
    return;
  exception
    when lock_not_available or transaction_rollback or insufficient_resources or system_error then
      -- The failure is no fault of the row, which is left as it is.
      if v_count = 1 then
        return;
      end if;
    when others then
      if v_count = 1 then
        perform unstuck_private.jobs_quarantine(p_ids, sqlerrm);
        return;
      end if;
  end;
  return query
  select c.job_id, c.tool, c.status, c.refunded
  from unstuck_private.jobs_finalise_each(
    p_ids[:v_half], p_statuses[:v_half], p_codes[:v_half], p_messages[:v_half], p_until) c;
  return query
  select c.job_id, c.tool, c.status, c.refunded
  from unstuck_private.jobs_finalise_each(
    p_ids[v_half + 1:], p_statuses[v_half + 1:], p_codes[v_half + 1:], p_messages[v_half + 1:],
    p_until) c;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.jobs_ledger(p_ids uuid[])
 RETURNS TABLE(job_id uuid, debit bigint, refunded bigint, has_job_refund boolean, free_number integer)
 LANGUAGE sql
 STABLE
AS $function$
  select n.id, l.*
  from unnest(p_ids) as n (id)
  cross join lateral (
    select
      unstuck_private.clamp_to_bigint(
        coalesce(-sum(e.amount) filter (where e.kind = 'debit'), 0)),
      unstuck_private.clamp_to_bigint(
        coalesce(sum(e.amount) filter (where e.kind = 'refund'), 0)),
      coalesce(bool_or(e.kind = 'refund' and e.step is null), false),
      least(coalesce(min(e.step) filter (where e.kind = 'refund'), 1), 1) - 1
    from unstuck.credit_entries e
    where e.job_id = n.id
      and e.kind in ('debit', 'refund')
  ) l
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.jobs_log()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
 SET enable_nestloop TO 'off'
AS $function$
begin
  if tg_op = 'INSERT' then
    insert into unstuck.job_events (job_id, event, to_status, actor)
    select
      n.id,
      'job_created',
      n.status,
      nullif(current_setting('unstuck.actor', true), '')
    from new_rows n;
  else
    insert into unstuck.job_events (job_id, event, from_status, to_status, actor, detail)
    select
      n.id,
      'job_' || n.status,
      o.status,
      n.status,
      nullif(current_setting('unstuck.actor', true), ''),
      case when n.error_code is not null then jsonb_build_object('error_code', n.error_code) end
    from new_rows n
    join old_rows o using (id)
    where n.status <> o.status;
  end if;
  return null;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.jobs_matching(p_filter jsonb, p_statuses text[], p_once boolean, p_limit integer, OUT total integer, OUT ids uuid[])
 RETURNS record
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
 SET plan_cache_mode TO 'force_custom_plan'
AS $function$
declare
  v_ids uuid[] := case when jsonb_typeof(p_filter -> 'ids') = 'array' then
    array(select i.id::uuid from jsonb_array_elements_text(p_filter -> 'ids') as i (id))
  end;
  v_status text := p_filter ->> 'status';
  v_statuses text[] := case
    when v_status = 'queued' then array['pending', 'queued']
    when v_status = 'running' then array['starting', 'running']
    when v_status is not null then array[v_status]
    when v_ids is null then p_statuses
  end;
  v_tools text[] := array(
    select t.tool
    from unstuck.tools t
    where t.tool = coalesce(p_filter ->> 'tool', t.tool)
      and t.provider = coalesce(p_filter ->> 'provider', t.provider)
  );
  v_user uuid := p_filter ->> 'userId';
  v_code text := p_filter ->> 'errorCode';
  v_after timestamptz := p_filter ->> 'createdAfter';
  v_before timestamptz := p_filter ->> 'createdBefore';
begin
  select (count(*))::int, (array_agg(m.id order by m.created_at, m.id))[:p_limit]
  into total, ids
  from (
    select j.id, j.created_at
    from unstuck.jobs j
    where (v_ids is null or j.id = any (v_ids))
      and (v_statuses is null or j.status = any (v_statuses))
      and j.tool = any (v_tools)
      and (v_user is null or j.user_id = v_user)
      and (v_code is null or j.error_code = v_code)
      and (v_after is null or j.created_at > v_after)
      and (v_before is null or j.created_at < v_before)
      and (
        v_ids is not null
        or j.quarantined_at is null
          and not (p_once and exists (select from unstuck.jobs r where r.retry_of = j.id))
      )
    limit 1000000
  ) m;
  ids := coalesce(ids, '{}');
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.jobs_named(p_text text, p_limit integer)
 RETURNS TABLE(job_id uuid)
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
declare
  v_hex text := unstuck_private.id_beginning(p_text);
begin
  if v_hex is not null then
    return query
    select j.id
    from unstuck.jobs j
    where j.id between rpad(v_hex, 32, '0')::uuid and rpad(v_hex, 32, 'f')::uuid
    limit p_limit;
  end if;
  return query
  select s.job_id
  from unstuck.providers p
  join unstuck.job_steps s on s.provider = p.provider and s.provider_task_id = p_text
  union
  select j.id
  from unstuck.jobs j
  where j.request_id = p_text
  limit p_limit;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.jobs_quarantine(p_ids uuid[], p_reason text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_half int := cardinality(p_ids) / 2;
  v_now timestamptz := clock_timestamp();
begin
  begin
    insert into unstuck.job_events (job_id, event, from_status, to_status, actor, detail)
    select j.id, 'quarantined', j.status, j.status, 'sweep',
      jsonb_build_object('reason', p_reason)
    from unstuck.jobs j
    where j.id = any (p_ids)
      and j.quarantined_at is null;
    update unstuck.jobs
    set quarantined_at = v_now,
      exclusive_key = null
    where id = any (p_ids)
      and quarantined_at is null;
    update unstuck.job_steps s
    set status = 'failed',
      error_code = 'CREDIT_ERROR',
      error_message = 'CREDIT_ERROR: kept for an operator.',
      completed_at = v_now,
      lease_until = null,
      checked_at = null,
      provider_cancel_due = unstuck_private.cancel_debt_with(s)
    where s.job_id = any (p_ids)
      and not unstuck_private.is_final(s.status);
    return;
  exception when others then
    p_reason := case when v_half > 0 then p_reason else concat_ws('; ', p_reason, sqlerrm) end;
  end;
  if v_half > 0 then
    perform unstuck_private.jobs_quarantine(p_ids[:v_half], p_reason);
    perform unstuck_private.jobs_quarantine(p_ids[v_half + 1:], p_reason);
    return;
  end if;
  perform unstuck_private.job_quarantine_parts(p_ids[1], p_reason);
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.jobs_refund(p_ids uuid[], p_statuses text[], p_reasons text[], p_refund boolean DEFAULT true)
 RETURNS TABLE(job_id uuid, debit bigint, refunded bigint, given bigint)
 LANGUAGE plpgsql
 SET search_path TO ''
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
#variable_conflict use_column
begin
  if cardinality(p_ids) > 10 then
    perform set_config('plan_cache_mode', 'force_custom_plan', true);
  end if;
  perform unstuck_private.accounts_make(p_ids);

  -- Nothing is due of a job that is completed with every step.
  if p_statuses <@ array['completed']
    and not exists (
      select from unstuck.job_steps s
      where s.job_id = any (p_ids)
        and s.status in ('failed', 'cancelled')
    )
  then
    return query
    select l.job_id, l.debit, l.refunded, 0::bigint
    from unstuck_private.jobs_ledger(p_ids) l;
    return;
  end if;

  if unstuck_private.has_adapter() then
    return query
    select e.job_id, e.debit, e.refunded, sum(e.given)::bigint
    from unstuck_private.jobs_refund_each(p_ids, p_statuses, p_reasons, p_refund) e
    group by 1, 2, 3;
    return;
  end if;

  return query
  with due as materialized (
    select *
    from unstuck_private.refunds_due(p_ids, p_statuses)
  ), entry as (
    insert into unstuck.credit_entries (
      user_id, job_id, step, kind, amount, balance_after, reason)
    select d.user_id, d.job_id, d.step, 'refund', d.amount,
      a.balance + sum(d.amount) over (
        partition by d.user_id
        order by d.job_id, d.step
        rows unbounded preceding
      ),
      coalesce(n.reason, 'refund')
    from due d
    join unnest(p_ids, p_reasons) as n (id, reason) on n.id = d.job_id
    join unstuck.credit_accounts a using (user_id)
    where p_refund
      and d.amount is not null
    returning user_id, amount
  ), account as (
    update unstuck.credit_accounts a
    set balance = a.balance + t.total
    from (
      select user_id, sum(amount)::bigint as total
      from entry
      group by 1
    ) t
    where a.user_id = t.user_id
  )
  select d.job_id, d.debit, d.refunded,
    coalesce(sum(d.amount) filter (where p_refund), 0)::bigint
  from due d
  group by d.job_id, d.debit, d.refunded;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.jobs_refund_each(p_ids uuid[], p_statuses text[], p_reasons text[], p_refund boolean)
 RETURNS TABLE(job_id uuid, debit bigint, refunded bigint, given bigint)
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_due record;
  v_given bigint;
begin
  if p_refund then
    -- What is owed of an earlier step is not in the ledger, so it is due once more.
    delete from unstuck.refunds_owed o
    where o.job_id = any (p_ids);
  end if;
  for v_due in
    select d.job_id, d.debit, d.refunded, d.step, j as job,
      case when p_refund then d.amount end as amount,
      coalesce(n.reason, 'refund') as reason
    from unstuck_private.refunds_due(p_ids, p_statuses) d
    join unnest(p_ids, p_reasons) as n (id, reason) on n.id = d.job_id
    join unstuck.jobs j on j.id = d.job_id
    order by d.user_id, d.job_id, d.step
  loop
    v_given := 0;
    if v_due.amount is not null then
      v_given := unstuck_private.refund_ask(
        v_due.job, v_due.step, v_due.amount, v_due.reason);
    end if;
    return query select v_due.job_id, v_due.debit, v_due.refunded, v_given;
  end loop;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.jobs_refused(p_filter jsonb, p_limit integer, p_chosen uuid[], p_done uuid[], p_locked uuid[])
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('jobId', r.id, 'code', r.code)), '[]')
  from (
    select i.id, 'not_found' as code
    from (
      select n.id::uuid
      from jsonb_array_elements_text(p_filter -> 'ids') as n (id)
    ) i
    where p_limit > 0
      and not exists (select from unstuck.jobs j where j.id = i.id)
    union all
    select
      j.id,
      case
        when unstuck_private.is_final(j.status) then 'already_final'
        when j.quarantined_at is not null then 'internal'
        else 'in_progress'
      end
    from unstuck.jobs j
    where j.id = any (p_chosen)
      and j.id <> all (p_done)
      and (j.id <> all (p_locked) or j.quarantined_at is not null)
  ) r
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.jobs_try_lock(p_ids uuid[])
 RETURNS uuid[]
 LANGUAGE plpgsql
 SET search_path TO ''
 SET lock_timeout TO '20ms'
AS $function$
declare
  v_users uuid[];
  v_jobs uuid[];
  v_user uuid;
begin
  for v_user in
    select distinct j.user_id
    from unstuck.jobs j
    where j.id = any (p_ids)
      and not exists (select from unstuck.credit_accounts a where a.user_id = j.user_id)
      and unstuck_private.has_ledger_entries(j.id)
    order by 1
  loop
    begin
      insert into unstuck.credit_accounts (user_id)
      values (v_user)
      on conflict do nothing;
    exception when lock_not_available then
      null;
    end;
  end loop;

  v_users := array(
    select distinct j.user_id
    from unstuck.jobs j
    where j.id = any (p_ids)
  );
  v_users := array(
    select a.user_id
    from unstuck.credit_accounts a
    where a.user_id = any (v_users)
    order by a.user_id
    for update skip locked
  );
  if unstuck_private.has_adapter() then
    v_users := unstuck_private.wallets_try_lock(v_users);
  end if;
  v_jobs := array(
    select j.id
    from unstuck.jobs j
    where j.id = any (p_ids)
      and (
        j.user_id = any (v_users)
        or not exists (select from unstuck.credit_accounts a where a.user_id = j.user_id)
          and not unstuck_private.has_ledger_entries(j.id)
      )
    order by j.id
    for update skip locked
  );
  return array(
    with held as (
      select s.job_id, s.step
      from unstuck.job_steps s
      where s.job_id = any (v_jobs)
      order by s.job_id, s.step
      for update skip locked
    )
    select n.id
    from unnest(v_jobs) as n (id)
    where n.id not in (
      select s.job_id
      from unstuck.job_steps s
      left join held h using (job_id, step)
      where s.job_id = any (v_jobs)
        and h.job_id is null
    )
  );
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.jobs_unaudited()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
 SET enable_nestloop TO 'off'
AS $function$
begin
  if tg_op = 'UPDATE' then
    insert into unstuck_private.unaudited (job_id)
    select id
    from old_rows o
    full join new_rows n using (id)
    where row(
        n.status, n.user_id, n.credits_charged, n.credits_refunded, n.refund_rule,
        n.quarantined_at
      )
      is distinct from row(
        o.status, o.user_id, o.credits_charged, o.credits_refunded, o.refund_rule,
        o.quarantined_at
      );
  elsif tg_op = 'INSERT' then
    insert into unstuck_private.unaudited (job_id, user_id)
    select n.id, n.user_id
    from new_rows n;
  else
    insert into unstuck_private.unaudited (job_id, user_id)
    select o.id, o.user_id
    from old_rows o;
    perform unstuck_private.removals_record(
      array(select distinct o.user_id from old_rows o)
    );
  end if;
  return null;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.jobs_unprojected()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
 SET enable_nestloop TO 'off'
AS $function$
begin
  if not exists (select from unstuck.projections p where p.enabled) then
    return null;
  end if;
  if tg_op = 'INSERT' then
    insert into unstuck_private.unprojected (job_id)
    select n.id
    from new_rows n
    where n.tool in (select p.tool from unstuck.projections p where p.enabled);
    return null;
  end if;
  insert into unstuck_private.unprojected (job_id)
  select n.id
  from new_rows n
  join old_rows o on o.id = n.id
  where row(
      n.status, n.user_id, n.session_id, n.credits_charged, n.credits_refunded, n.output_url,
      n.error_message, n.total_steps, n.current_step, n.retries, n.waited_in_queue, n.created_at,
      n.queued_at, n.started_at, n.completed_at)
    is distinct from row(
      o.status, o.user_id, o.session_id, o.credits_charged, o.credits_refunded, o.output_url,
      o.error_message, o.total_steps, o.current_step, o.retries, o.waited_in_queue, o.created_at,
      o.queued_at, o.started_at, o.completed_at)
    and n.tool in (select p.tool from unstuck.projections p where p.enabled);
  return null;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.legacy_input(p_row jsonb)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select coalesce(jsonb_object_agg(k.field, p_row -> k.column_name), '{}')
  from (
    values
      ('image_url', 'imageUrl'),
      ('resolution', 'resolution'),
      ('detail_denoise', 'detailDenoise'),
      ('prompt', 'prompt'),
      ('version', 'version'),
      ('category', 'category'),
      ('framing_mode', 'framingMode'),
      ('video_url', 'videoUrl'),
      ('width', 'width'),
      ('height', 'height'),
      ('duration_seconds', 'durationSeconds'),
      ('person_image_url', 'personImageUrl'),
      ('reference_image_url', 'referenceImageUrl'),
      ('clothing_image_url', 'clothingImageUrl'),
      ('input_file_name', 'input_file_name')
  ) as k (column_name, field)
  where p_row ->> k.column_name is not null
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.legacy_job_insert()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  v_user uuid := auth.uid();
  v_input jsonb := unstuck_private.legacy_input(to_jsonb(new));
  v_tool text;
begin
  select t.tool
  into v_tool
  from unstuck.tools t
  where t.table_name = tg_table_name;
  if v_user is null or not found or coalesce(new.user_id, v_user) <> v_user then
    raise exception 'permission denied for %', tg_table_name using errcode = '42501';
  end if;
  perform unstuck_private.account_lock(v_user);
  -- At most 20 pending rows at a time, and 200 in an hour that no `/run` adopted.
  if (
    select count(*) filter (where j.status = 'pending') >= 20 or count(*) >= 200
    from unstuck.jobs j
    where j.user_id = v_user
      and j.request_hash is null
      and j.created_at > clock_timestamp() - interval '1 hour'
  ) then
    perform unstuck_private.refuse(429, 'rate_limited');
  end if;
  if octet_length(v_input::text) > 20000 then
    perform unstuck_private.refuse(413, 'payload_too_large');
  end if;
  perform unstuck_private.act_as('client');
  begin
    insert into unstuck.jobs (id, tool, user_id, session_id, status, input)
    values (
      coalesce(new.id, gen_random_uuid()),
      v_tool,
      v_user,
      left(new.session_id, 200),
      'pending',
      v_input
    )
    returning id into new.id;
  exception when unique_violation then
    perform unstuck_private.refuse(409, 'idempotency_conflict');
  end;
  -- The client reads the row as it is stored, not as it sent it.
  new := jsonb_populate_record(new, unstuck_private.legacy_row(tg_table_name, new.id));
  return new;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.legacy_job_update()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  v_user uuid := auth.uid();
begin
  if v_user is null
    or old.user_id <> v_user
    or new.id <> old.id
    or new.user_id <> old.user_id
  then
    raise exception 'permission denied for %', tg_table_name using errcode = '42501';
  end if;
  if new.status in ('failed', 'cancelled')
    and (new.status is distinct from old.status or old.error_code = 'ORPHANED')
  then
    perform 1
    from unstuck.job_cancel_v1(v_user, tg_table_name, old.id);
    new := jsonb_populate_record(new, unstuck_private.legacy_row(tg_table_name, old.id));
    return new;
  end if;
  return null;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.legacy_row(p_table text, p_id uuid)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
declare
  v_row jsonb;
begin
  execute format('select to_jsonb(v) from unstuck.%I v where v.id = $1', p_table)
  into v_row
  using p_id;
  return v_row;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.legacy_write_refuse()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  raise exception 'permission denied for %', tg_table_name using errcode = '42501';
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.lifetime_limit(p_tool unstuck.tools, p_provider unstuck.providers, p_total_steps integer, p_steps bigint)
 RETURNS interval
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select least(
    case
      when p_steps = 0 then p_tool.run_timeout
      else unstuck_private.tool_lifetime(p_tool, p_provider, p_total_steps)
    end,
    interval '100 years'
  )
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.line_move()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_by interval := coalesce(new.queued_at, new.created_at)
    - coalesce(old.queued_at, old.created_at);
begin
  update unstuck.job_steps s
  set line_since = s.line_since + v_by,
    turn_at = s.turn_at + v_by
  where s.job_id = new.id
    and s.status = 'queued';
  return null;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.lines_between(p_from timestamp with time zone, p_to timestamp with time zone)
 RETURNS TABLE(name text, labels jsonb, value numeric)
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
#variable_conflict use_column
begin
  return query
  with ended as materialized (
    select j.tool, j.status, j.error_code, j.credits_charged, j.credits_refunded,
      extract(epoch from j.started_at - coalesce(j.queued_at, j.created_at)) as waited,
      case j.status
        when 'completed' then extract(epoch from j.completed_at - j.started_at)
      end as took
    from unstuck_private.jobs_ended(p_from, p_to) j
  ), timed as (
    select 'unstuck_job_wait_seconds' as name, e.tool, greatest(e.waited, 0) as seconds
    from ended e
    where e.waited is not null
    union all
    select 'unstuck_job_duration_seconds', e.tool, greatest(e.took, 0)
    from ended e
    where e.took is not null
  )
  select 'unstuck_jobs_ended_total',
    jsonb_build_object(
      'tool', e.tool, 'status', e.status, 'code', lower(coalesce(e.error_code, ''))),
    count(*)
  from ended e
  group by e.tool, e.status, e.error_code
  union all
  select v.name, jsonb_build_object('tool', e.tool), sum(v.value)
  from ended e
  cross join lateral (
    values
      ('unstuck_credits_charged_total', e.credits_charged::numeric),
      ('unstuck_credits_refunded_total', e.credits_refunded),
      ('unstuck_refunds_total', (e.credits_refunded > 0)::int)
  ) as v (name, value)
  group by v.name, e.tool
  union all
  select t.name || '_bucket',
    jsonb_build_object('tool', t.tool, 'le', b.le),
    count(*) filter (where t.seconds <= b.le::float8)
  from timed t
  cross join unnest(array[
    '1', '5', '15', '30', '60', '120', '300', '600', '1800', '3600', '+Inf'
  ]) as b (le)
  group by t.name, t.tool, b.le
  union all
  select t.name || v.suffix, jsonb_build_object('tool', t.tool), sum(v.value)
  from timed t
  cross join lateral (
    values ('_sum', t.seconds), ('_count', 1)
  ) as v (suffix, value)
  group by t.name, t.tool, v.suffix
  union all
  select v.name, v.labels, sum(v.value)
  from unstuck_private.steps_ended(p_from, p_to) s
  cross join lateral (
    values
      (
        'unstuck_provider_answers_total',
        jsonb_build_object('provider', s.provider, 'class', s.class),
        1
      ),
      (
        'unstuck_provider_attempts_total',
        jsonb_build_object('provider', s.provider),
        s.attempts
      )
  ) as v (name, labels, value)
  group by v.name, v.labels;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.list_cursor(p_job unstuck.jobs)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select lpad(to_hex((extract(epoch from p_job.created_at) * 1000000)::bigint), 16, '0')
    || replace(p_job.id::text, '-', '')
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.may_see(p_user_id uuid)
 RETURNS boolean
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select
    coalesce(current_setting('role', true), 'none') in ('none', 'service_role')
    or p_user_id = auth.uid()
    or unstuck_private.is_admin()
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.may_start(p_provider text)
 RETURNS integer
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_sort TO 'off'
 SET jit TO 'off'
AS $function$
declare
  v_now timestamptz := clock_timestamp();
  v_shut text[] := array(
    select t.tool
    from unstuck.tools t
    where t.circuit_open_until is not null
  );
  v_free int;
  v_steps int;
begin
  select least(
    unstuck_private.slot_limit(p, v_now) - (
      select count(*)
      from unstuck.job_steps s
      where s.provider = p.provider
        and unstuck_private.holds_slot(s)
    ),
    case when p.circuit_open_until is not null then 1 end
  )
  into v_free
  from unstuck.providers p
  where p.provider = p_provider
    and p.enabled
    and coalesce(p.circuit_open_until <= v_now, true);
  if coalesce(v_free, 0) <= 0 then
    return 0;
  end if;
  select count(*)
  into v_steps
  from (
    select
    from unstuck.job_steps s
    join unstuck.jobs j on j.id = s.job_id
    where s.provider = p_provider
      and s.status = 'queued'
      and s.turn_at <= v_now
      and s.line_tool <> all (v_shut)
      and unstuck_private.is_live(j.status)
      and j.quarantined_at is null
      and unstuck_private.is_in_time(s, v_now)
    order by s.turn_at, s.job_id, s.step
    limit v_free
  ) s;
  if v_steps < v_free then
    select v_steps + count(*)
    into v_steps
    from (
      select
      from unstuck.job_steps s
      join unstuck.jobs j on j.id = s.job_id
      where s.provider = p_provider
        and s.status = 'queued'
        and s.line_user_id is not null
        and s.turn_at is null
        and unstuck_private.is_live(j.status)
        and j.quarantined_at is null
        and coalesce(s.not_before <= v_now, true)
        and s.line_tool <> all (v_shut)
        and unstuck_private.is_in_time(s, v_now)
      order by s.line_user_id, s.turn_at, s.line_since, s.job_id, s.step
      limit v_free - v_steps
    ) s;
  end if;
  if v_steps < v_free and v_shut <> '{}' then
    v_steps := v_steps + unstuck_private.trials_waiting(p_provider, v_now);
  end if;
  return least(v_free, v_steps);
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.minutes_between(p_from timestamp with time zone, p_to timestamp with time zone)
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select greatest(
    round(least(extract(epoch from p_to) - extract(epoch from p_from), 1e11) / 60),
    1)::int
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.minutes_text(p_minutes integer)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select p_minutes || case p_minutes when 1 then ' minute' else ' minutes' end
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.next_turns_lock(p_provider text, p_now timestamp with time zone, p_without text[], p_turns unstuck_private.turn[], p_limit integer)
 RETURNS SETOF unstuck_private.turn
 LANGUAGE plpgsql
 ROWS 5
 SET search_path TO ''
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET jit TO 'off'
AS $function$
begin
  return query
  with recursive waiting (user_id) as (
    -- The users who have a step without a turn, one index probe for each.
    (
      select s.line_user_id
      from unstuck.job_steps s
      where s.provider = p_provider and s.status = 'queued' and s.turn_at is null
      order by s.line_user_id
      limit 1
    )
    union all
    select (
      select s.line_user_id
      from unstuck.job_steps s
      where s.provider = p_provider
        and s.status = 'queued'
        and s.turn_at is null
        and s.line_user_id > w.user_id
      order by s.line_user_id
      limit 1
    )
    from waiting w
    where w.user_id is not null
  ), further as materialized (
    select n.job_id, n.step, w.user_id, n.nth + 1 as nth,
      coalesce(
        (select min(t.turn_at) from unnest(p_turns) t where t.user_id = w.user_id), p_now
      ) as turn_at
    from waiting w
    cross join lateral (
      select s.job_id, s.step, row_number() over (order by s.line_since, s.job_id, s.step) as nth
      from unstuck.job_steps s
      where s.provider = p_provider
        and s.line_user_id = w.user_id
        and s.status = 'queued'
        and s.turn_at is null
        and coalesce(s.not_before <= p_now, true)
        and s.line_tool <> all (p_without)
      order by s.line_since, s.job_id, s.step
      limit p_limit
    ) n
  )
  select f.job_id, f.step, f.user_id, f.nth, f.turn_at
  from further f
  join unstuck.jobs j on j.id = f.job_id
  join unstuck.job_steps s
    on s.job_id = f.job_id
    and s.step = f.step
  where s.status = 'queued'
    and unstuck_private.is_live(j.status)
    and j.quarantined_at is null
    and unstuck_private.is_in_time(s, p_now)
  order by f.nth, f.turn_at, f.job_id, f.step
  limit p_limit
  for update of j, s skip locked;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.number_or_null(p_text text)
 RETURNS numeric
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select substring(p_text from '^-?[0-9]{1,9}(?:[.][0-9]+)?$')::numeric
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.order_claim(p_job_id uuid)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO ''
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  v_now timestamptz;
  v_provider unstuck.providers;
  v_step unstuck.job_steps;
begin
  select s.*
  into v_step
  from unstuck.job_steps s
  where s.job_id = p_job_id
    and s.step = 1;
  select p.*
  into v_provider
  from unstuck.providers p
  where p.provider = v_step.provider
  for no key update skip locked;
  v_now := clock_timestamp();
  if not found
    or not v_provider.enabled
    or v_provider.circuit_open_until is not null
    or v_step.turn_at is null
    or v_step.turn_at > v_now
    or exists (
      select from unstuck.tools t
      where t.tool = v_step.line_tool
        and t.circuit_open_until is not null
    )
    or exists (
      select from unstuck.job_steps s
      where s.provider = v_step.provider
        and s.status = 'queued'
        and s.turn_at < v_step.turn_at
    )
    or (
      select count(*)
      from unstuck.job_steps s
      where s.provider = v_step.provider
        and unstuck_private.holds_slot(s)
    ) >= least(v_provider.max_concurrent, v_provider.learned_limit)
  then
    return null;
  end if;
  return (
    select to_jsonb(c)
    from unstuck_private.steps_claim(
      v_provider,
      v_now,
      array[(p_job_id, 1, v_step.line_user_id, 1, v_step.turn_at)::unstuck_private.turn]
    ) c
  );
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.order_claimed(p_job_id uuid)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_claimed jsonb;
begin
  update unstuck.job_steps s
  set run = s.run + 1
  from unstuck.jobs j
  join unstuck.tools t using (tool)
  cross join clock_timestamp() as n (now)
  where s.job_id = p_job_id
    and s.step = 1
    and s.status = 'starting'
    and s.sent_at is null
    and s.lease_until > clock_timestamp()
    and j.id = s.job_id
  returning jsonb_build_object(
    'job_id', s.job_id,
    'step', s.step,
    'run', s.run,
    'tool', j.tool,
    'user_id', j.user_id,
    'attempts', greatest(s.attempts, 0),
    'input', s.input,
    'previous_output_url', null,
    'run_ms', ceil(
      extract(
        epoch from greatest(least(n.now + t.run_timeout, j.expires_at), n.now) - n.now
      ) * 1000
    )
  )
  into v_claimed;
  return v_claimed;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.order_debit(p_user_id uuid, p_job_id uuid, p_tool text, p_price bigint, p_balance bigint)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_debit record;
begin
  perform unstuck_private.refuse_apps_row(p_user_id, p_job_id, p_tool);
  if p_price <= 0 then
    return 0;
  end if;
  v_debit := unstuck_private.wallet_debit(p_user_id, p_tool, p_price, p_job_id, p_tool);
  if v_debit.taken > 0 then
    insert into unstuck.credit_entries (
      user_id, job_id, kind, amount, balance_after, reason, receipt)
    values (
      p_user_id, p_job_id, 'debit', -v_debit.taken, p_balance - v_debit.taken, p_tool,
      v_debit.receipt);
  end if;
  return v_debit.taken;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.order_price(p_tool unstuck.tools, p_input jsonb, p_steps integer, p_measured jsonb, OUT credits bigint, OUT unmeasured text, OUT lowest bigint)
 RETURNS record
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
declare
  v_rule unstuck.tool_prices;
  v_measured numeric;
begin
  select p.*
  into v_rule
  from unstuck.tool_prices p
  where p.tool = p_tool.tool
    and not exists (
      select
      from jsonb_each(p.matches) m
      where not unstuck_private.condition_holds(p_input -> m.key, m.value)
    )
  order by p.position
  limit 1;
  if not found then
    credits := p_tool.credit_cost * case p_tool.priced_per when 'step' then p_steps else 1 end;
    lowest := credits;
    return;
  end if;
  if v_rule.priced_per in ('second', 'megapixel') then
    v_measured := case jsonb_typeof(p_measured -> (v_rule.priced_per || 's'))
      when 'number' then greatest((p_measured ->> (v_rule.priced_per || 's'))::numeric, 0)
    end;
    if v_measured is null then
      unmeasured := v_rule.priced_per;
    end if;
  end if;
  credits := greatest(
    v_rule.credits * case v_rule.priced_per
      when 'job' then 1
      when 'step' then p_steps
      else ceil(least(v_measured, v_rule.quantity))
    end,
    v_rule.credits_min,
    1
  );
  lowest := credits;
  if unmeasured is not null then
    lowest := greatest(v_rule.credits, v_rule.credits_min, 1);
    if p_measured is null then
      credits := coalesce(v_rule.credits_min, credits);
    end if;
  end if;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.order_unmeasured(p_job_id uuid, p_unit text)
 RETURNS TABLE(job_id uuid, status text, replayed boolean, credits_charged bigint, balance bigint, "position" integer, eta_seconds integer, task_id text, output_url text, error_code text, error_message text, credits_refunded bigint, claimed jsonb, unmeasured text)
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select p_job_id, 'pending', false, 0::bigint, 0::bigint, null::int, null::int, null::text,
    null::text, null::text, null::text, 0::bigint, null::jsonb, p_unit
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.orphans_cancel(p_user_id uuid)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_before timestamptz;
  v_ids uuid[];
  v_count int;
begin
  select clock_timestamp() - i.orphan
  into v_before
  from unstuck_private.intervals() i;
  v_ids := array(
    select j.id
    from unstuck.jobs j
    where j.user_id = p_user_id
      and unstuck_private.is_orphan(j, v_before)
    limit 1000
  );
  if v_ids = '{}' then
    return;
  end if;
  v_ids := unstuck_private.jobs_try_lock(v_ids);
  v_ids := array(
    select j.id
    from unstuck.jobs j
    where j.id = any (v_ids)
      and unstuck_private.is_orphan(j, v_before)
  );
  v_count := cardinality(v_ids);
  perform unstuck_private.jobs_finalise_each(
    v_ids,
    array_fill('cancelled'::text, array[v_count]),
    array_fill('ORPHANED'::text, array[v_count]),
    array_fill('never started; nothing was charged.'::text, array[v_count]),
    clock_timestamp() + interval '3 seconds');
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.other_deployment()
 RETURNS text
 LANGUAGE plpgsql
 STABLE
AS $function$
declare
  v_id text := unstuck_private.request_header('x-unstuck-deployment');
begin
  if v_id is null then
    return null;
  end if;
  return (
    select v_id
    from unstuck_private.deployment d
    where d.id <> v_id
  );
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.output_kind(p_table text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select case p_table
    when 'video_upscaler_jobs' then 'video'
    when 'generation_history' then 'files'
    else 'image'
  end
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.owed_turns_give(p_provider text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_user uuid;
begin
  for v_user in
    delete from unstuck_private.turns_owed o
    where (o.provider, o.user_id) in (
      select w.provider, w.user_id
      from unstuck_private.turns_owed w
      where w.provider = p_provider
      limit 100
      for update skip locked
    )
    returning o.user_id
  loop
    perform unstuck_private.give_turn(p_provider, v_user);
  end loop;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.pass_turn()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  perform unstuck_private.give_turn(old.provider, old.line_user_id);
  return null;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.peak_at_provider(p_provider text, p_since timestamp with time zone, p_with_awaited boolean)
 RETURNS integer
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
begin
  return (
    with taken as (
      select coalesce(s.sent_at, s.started_at) as since, null::timestamptz as until
      from unstuck.job_steps s
      where s.provider = p_provider
        and unstuck_private.holds_slot(s)
        and (s.started_at is not null or p_with_awaited or s.lease_until <= clock_timestamp())
      union all
      select coalesce(s.sent_at, s.started_at), coalesce(s.provider_done_at, s.completed_at)
      from unstuck.job_steps s
      where s.provider = p_provider
        and s.started_at is not null
        and coalesce(s.provider_done_at, s.completed_at) > p_since
    )
    select coalesce(max(w.steps), 0)::int
    from (
      select sum(e.steps) over (order by e.at, e.steps) as steps
      from taken t
      cross join lateral (values (t.since, 1), (t.until, -1)) e (at, steps)
      where e.at is not null
    ) w
  );
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.price_agreed(p_user_id uuid, p_tool text, p_input jsonb, p_price bigint, p_max_credits bigint)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_price bigint := unstuck_private.wallet_price(p_user_id, p_tool, p_input, p_price);
begin
  if v_price > p_max_credits
    and not exists (
      select
      from unstuck_private.wallet_lock(p_user_id, p_tool, null) w
      where w.unlimited
    )
  then
    perform unstuck_private.refuse(
      409, 'price_changed', jsonb_build_object('credits', v_price));
  end if;
  return v_price;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.price_log()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_old jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) end;
  v_new jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) end;
begin
  -- The same sent a second time changes nothing.
  if current_setting('unstuck.actor', true) = 'migration' or v_old = v_new then
    return null;
  end if;
  perform unstuck_private.admin_log_write(
    'price_changed',
    coalesce(v_new, v_old) ->> 'tool',
    case when v_old is not null then jsonb_object_agg(c.name, v_old -> c.name) end,
    case when v_new is not null then jsonb_object_agg(c.name, v_new -> c.name) end
  )
  from unnest(tg_argv) as c (name);
  return null;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.price_paid(p_job unstuck.jobs)
 RETURNS bigint
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  with recursive repeated as (
    select p_job.credits_charged as charged, p_job.retry_of as retry_of, 1 as depth
    union all
    select j.credits_charged, j.retry_of, r.depth + 1
    from repeated r
    join unstuck.jobs j on j.id = r.retry_of
    where r.charged = 0
      and r.depth < 1000
  )
  select r.charged
  from repeated r
  order by r.depth desc
  limit 1
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.price_rule_change(p_change jsonb)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_tool text := p_change ->> 'tool';
  v_position int := p_change ->> 'position';
begin
  if (p_change ->> 'remove')::boolean then
    delete from unstuck.tool_prices p
    where p.tool = v_tool and p.position = v_position;
    if not found then
      perform unstuck_private.refuse(404, 'not_found');
    end if;
    return;
  end if;
  update unstuck.tool_prices p
  set matches = coalesce(p_change -> 'matches', p.matches),
    credits = coalesce((p_change ->> 'credits')::bigint, p.credits),
    priced_per = coalesce(p_change ->> 'pricedPer', p.priced_per),
    quantity = case
      when p_change ->> 'pricedPer' in ('job', 'step') then (p_change ->> 'quantity')::numeric
      else coalesce((p_change ->> 'quantity')::numeric, p.quantity)
    end,
    credits_min = case
      when p_change ->> 'pricedPer' in ('job', 'step') then (p_change ->> 'creditsMin')::bigint
      else coalesce((p_change ->> 'creditsMin')::bigint, p.credits_min)
    end,
    note = coalesce(p_change ->> 'note', p.note)
  where p.tool = v_tool and p.position = v_position;
  if not found then
    insert into unstuck.tool_prices (
      tool, position, matches, credits, priced_per, quantity, credits_min, note
    )
    values (
      v_tool, v_position,
      coalesce(p_change -> 'matches', '{}'),
      (p_change ->> 'credits')::bigint,
      coalesce(p_change ->> 'pricedPer', 'job'),
      (p_change ->> 'quantity')::numeric,
      (p_change ->> 'creditsMin')::bigint,
      p_change ->> 'note'
    );
  end if;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.probe_pause(p_is_confirmed boolean)
 RETURNS interval
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select case when p_is_confirmed then interval '30 seconds' else interval '5 seconds' end
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.project()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  v_until timestamptz := clock_timestamp() + interval '5 seconds';
  v_wait_ms int := 200;
  v_at timestamptz;
  v_jobs uuid[];
  v_job uuid;
  v_projection unstuck.projections;
begin
  with taken as (
    delete from unstuck_private.unprojected u
    where u.xid = pg_current_xact_id()
    returning u.job_id
  )
  select array_agg(distinct t.job_id order by t.job_id)
  into v_jobs
  from taken t;
  foreach v_job in array coalesce(v_jobs, '{}') loop
    for v_projection in
      select p.*
      from unstuck.projections p
      join unstuck.jobs j on j.tool = p.tool
      where j.id = v_job
        and p.enabled
      order by p.level, p.host_table
    loop
      v_at := clock_timestamp();
      perform unstuck_private.job_project(
        v_job, v_projection, case when v_at < v_until then v_wait_ms end);
      v_wait_ms := greatest(
        v_wait_ms - extract(milliseconds from clock_timestamp() - v_at)::int, 1);
    end loop;
  end loop;
  return null;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.projection_attach(p_tool text, p_host_table regclass, p_level text, p_columns jsonb, p_statuses jsonb, p_settings jsonb DEFAULT '{}'::jsonb, p_begun text DEFAULT NULL::text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_unknown text;
  v_statement text;
begin
  if p_tool <> all (string_to_array(nullif(current_setting('unstuck.tools', true), ''), ' ')) then
    return;
  end if;
  select string_agg(c.name, ', ')
  into v_unknown
  from jsonb_object_keys(p_columns) as c (name)
  where not exists (
    select from pg_catalog.pg_attribute a
    where a.attrelid = p_host_table
      and a.attname = c.name
      and not a.attisdropped
  );
  if v_unknown is not null then
    raise exception '% has no column %', p_host_table, v_unknown;
  end if;
  insert into unstuck.projections (tool, host_table, level, columns, statuses, settings, begun)
  values (p_tool, p_host_table, p_level, p_columns, p_statuses, p_settings, p_begun)
  on conflict (tool, host_table) do update
  set level = excluded.level,
    columns = excluded.columns,
    statuses = excluded.statuses,
    settings = excluded.settings,
    begun = excluded.begun;
  if p_level = 'job' then
    -- A trigger of the app's table: which one is known here only.
    v_statement := format(
      'create or replace trigger unstuck_host_row after insert or update of status on %s '
        || 'for each row execute function unstuck_private.host_row_changed()',
      p_host_table
    );
    execute v_statement;
  end if;
  -- No row has this id: it only asks.
  perform unstuck_private.refuse_apps_row(null, null, p_tool);
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.projection_detach(p_tool text, p_host_table regclass)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_statement text;
  v_jobs bigint;
  v_owed bigint;
begin
  -- From here on nobody orders and no job ends.
  lock table unstuck.credit_accounts in exclusive mode;
  select count(*)
  into v_jobs
  from unstuck.jobs j
  where j.tool = p_tool
    and unstuck_private.is_live(j.status)
    and j.request_hash is not null;
  select count(*)
  into v_owed
  from unstuck.projection_errors e
  where e.tool = p_tool
    and e.host_table = p_host_table
    and e.mended_at is null;
  if v_jobs > 0 or v_owed > 0 then
    raise exception '% jobs of % live, and % rows are owed to %',
      v_jobs, p_tool, v_owed, p_host_table
    using hint = 'Switch the tool off and wait: update unstuck.tools set enabled = false;';
  end if;
  delete from unstuck.projection_errors e
  where e.tool = p_tool
    and e.host_table = p_host_table;
  delete from unstuck.host_requests r
  using unstuck.jobs j
  where j.id = r.job_id
    and j.tool = p_tool
    and r.host_table = p_host_table;
  delete from unstuck.projections p
  where p.tool = p_tool
    and p.host_table = p_host_table;
  if not exists (select from unstuck.projections p where p.host_table = p_host_table) then
    v_statement := format('drop trigger if exists unstuck_host_row on %s', p_host_table);
    execute v_statement;
  end if;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.projection_owner(p_projection unstuck.projections)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select min(c.key)
  from jsonb_each(p_projection.columns) c
  where coalesce(c.value ->> 'once', c.value #>> '{}') = 'j.user_id'
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.projection_statement(p_projection unstuck.projections)
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select format(
    'insert into %1$s as t (id, %2$s) '
      || 'select %3$s, %4$s '
      || 'from unstuck.jobs j %5$s '
      || 'cross join lateral (select $2 ->> %6$s.status as status) w '
      || 'where j.id = $1 and j.request_hash is not null and w.status is not null%10$s '
      || 'and j.user_id <> unstuck_private.erased_user() '
      || 'order by s.step '
      || 'on conflict (id) do update set %7$s '
      || 'where (%8$s) is distinct from (%9$s)%11$s',
    p_projection.host_table,
    string_agg(quote_ident(c.name), ', ' order by c.name),
    case p_projection.level when 'job' then 'j.id' else 'unstuck_private.step_row_id(s)' end,
    string_agg(format('(%s)::%s', c.made, c.type), ', ' order by c.name),
    case p_projection.level
      when 'job' then
        'left join lateral (select s.* from unstuck.job_steps s where s.job_id = j.id '
          || 'order by s.provider_task_id is not null desc, s.step desc limit 1) s on true'
      else 'join unstuck.job_steps s on s.job_id = j.id'
    end,
    left(p_projection.level, 1),
    string_agg(format('%1$I = excluded.%1$I', c.name), ', ' order by c.name)
      filter (where not c.once),
    string_agg(format('t.%I', c.name), ', ' order by c.name) filter (where not c.once),
    string_agg(format('excluded.%I', c.name), ', ' order by c.name) filter (where not c.once),
    case p_projection.level when 'step' then (
      select string_agg(
        format(
          ' and not exists (select from %s o where o.id = j.id and o.%I is distinct from '
            || 'j.user_id)',
          p.host_table, unstuck_private.projection_owner(p)),
        '' order by p.host_table)
      from unstuck.projections p
      where p.tool = p_projection.tool
        and p.level = 'job'
        and unstuck_private.projection_owner(p) is not null
    ) end,
    string_agg(format(' and t.%1$I = excluded.%1$I', c.name), '' order by c.name)
      filter (where c.made in ('j.user_id', 'j.id'))
  )
  from (
    select
      e.key as name,
      jsonb_typeof(e.value) = 'object' as once,
      coalesce(e.value ->> 'once', e.value #>> '{}') as made,
      format_type(a.atttypid, a.atttypmod) as type
    from jsonb_each(p_projection.columns) e
    join pg_catalog.pg_attribute a
      on a.attrelid = p_projection.host_table
      and a.attname = e.key
      and not a.attisdropped
  ) c
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.projections_mend()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  delete from unstuck.projection_errors e
  where e.id in (
    select g.id
    from unstuck.projection_errors g
    where g.mended_at is null
      and not exists (select from unstuck.jobs j where j.id = g.job_id)
    for update skip locked
  );
  insert into unstuck_private.unprojected (job_id)
  select e.job_id
  from unstuck.projection_errors e
  join unstuck.projections p on p.tool = e.tool and p.host_table = e.host_table and p.enabled
  where e.mended_at is null
  order by e.tries, e.at
  limit 50;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.provider_failures(p_now timestamp with time zone)
 RETURNS TABLE(provider text, ended bigint, failed bigint, is_bad boolean, webhook_at timestamp with time zone, is_webhook_overdue boolean)
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select p.provider, e.ended, e.failed, e.ended >= 20 and e.failed * 2 > e.ended, m.seen_at,
    not p.synchronous
      and e.done >= 5
      and coalesce(m.seen_at < p_now - interval '15 minutes', true)
  from unstuck.providers p
  cross join lateral (
    select
      coalesce(sum(b.done + b.failed), 0)::bigint as ended,
      coalesce(sum(b.done), 0)::bigint as done,
      coalesce(sum(b.failed), 0)::bigint as failed
    from unstuck_private.ended_by_minute b
    where b.provider = p.provider and b.minute > p_now - interval '15 minutes'
  ) e
  left join unstuck_private.healer_marks m on m.healer = 'webhook:' || p.provider
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.provider_positions(p_provider text)
 RETURNS TABLE(job_id uuid, "position" integer, eta_seconds integer)
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
declare
  v_times unstuck_private.tool_time[] := unstuck_private.tool_times(p_provider);
  v_free numeric[] := unstuck_private.seconds_until_slots_free(p_provider, v_times);
  v_slot int;
  v_step record;
  v_position int := 0;
begin
  for v_step in
    select
      q.job_id,
      coalesce(t.seconds, 60) as seconds,
      greatest(
        unstuck_private.seconds_between(
          clock_timestamp(),
          greatest(s.not_before, u.circuit_open_until, p.circuit_open_until)
        ),
        1
      ) as not_in,
      q.begins
    from unstuck_private.queue_order(p_provider, clock_timestamp()) q
    join unstuck.job_steps s
      on s.job_id = q.job_id
      and s.step = q.step
    join unstuck.tools u on u.tool = q.tool
    join unstuck.providers p on p.provider = s.provider
    left join unnest(v_times) t on t.tool = q.tool
    order by q."position"
  loop
    v_slot := 1;
    for i in 2 .. cardinality(v_free) loop
      if v_free[i] < v_free[v_slot] then
        v_slot := i;
      end if;
    end loop;
    v_free[v_slot] := greatest(v_free[v_slot], v_step.not_in);
    if v_step.begins then
      v_position := v_position + 1;
      return query
      select v_step.job_id, v_position, least(ceil(v_free[v_slot]), 2147483647)::int;
    end if;
    v_free[v_slot] := v_free[v_slot] + v_step.seconds;
  end loop;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.provider_settings(p_provider unstuck.providers)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select jsonb_build_object(
    'provider', p_provider.provider,
    'enabled', p_provider.enabled,
    'maxConcurrent', p_provider.max_concurrent,
    'learnedLimit', p_provider.learned_limit,
    'running', (
      select count(*)
      from unstuck.job_steps s
      where s.provider = p_provider.provider and unstuck_private.holds_slot(s)
    ),
    'waiting', (
      select count(*)
      from unstuck.job_steps s
      where s.provider = p_provider.provider and s.status = 'queued'
    ),
    'circuitOpenUntil', p_provider.circuit_open_until,
    'circuitReason', p_provider.circuit_reason,
    'balanceLeast', p_provider.balance_least,
    'lastAlarm', (
      select jsonb_build_object('at', a.last_at, 'code', a.code, 'tool', a.tool, 'count', a.count)
      from unstuck.provider_alarms a
      where a.provider = p_provider.provider
      order by a.last_at desc
      limit 1
    )
  )
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.providers_before_update()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  if new.max_concurrent < old.max_concurrent then
    new.limit_changed_at := clock_timestamp();
  end if;
  if new.max_concurrent <> old.max_concurrent or new.learned_limit >= new.max_concurrent then
    new.learned_limit := null;
  end if;
  if new.learned_limit is null then
    new.limit_probe_at := null;
  end if;
  return new;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.prune_cancelled_requests(p_before timestamp with time zone, p_limit integer, p_skip integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
 SET plan_cache_mode TO 'force_custom_plan'
AS $function$
declare
  v_pruned int;
begin
  delete from unstuck.cancelled_requests c
  where c.ctid = any (array(
    select o.ctid
    from unstuck.cancelled_requests o
    where o.at < p_before
    order by o.at
    limit p_limit
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_pruned = row_count;
  return v_pruned;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.prune_cron_runs(p_before timestamp with time zone, p_limit integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
 SET plan_cache_mode TO 'force_custom_plan'
AS $function$
declare
  v_from bigint;
  v_to bigint;
  v_passed int;
begin
  if to_regclass('cron.job_run_details') is null then
    return 0;
  end if;
  select p.position
  into v_from
  from unstuck_private.retention_progress p
  where p.kind = 'cron_runs';
  -- The numbers restarted: the extension was created anew.
  if v_from is null or v_from > (select max(d.runid) from cron.job_run_details d) then
    v_from := 0;
  end if;
  select max(w.runid), count(*)
  into v_to, v_passed
  from (
    select d.runid, coalesce(d.end_time, d.start_time) as at
    from cron.job_run_details d
    where d.runid > v_from
    order by d.runid
    limit p_limit
  ) w
  where w.at < p_before;
  if v_to is null then
    return 0;
  end if;
  delete from cron.job_run_details d
  where d.runid > v_from
    and d.runid <= v_to
    and d.jobid in (select c.jobid from cron.job c where c.jobname = 'unstuck-cleanup');
  insert into unstuck_private.retention_progress as p (kind, position)
  values ('cron_runs', v_to)
  on conflict (kind) do update
  set position = excluded.position;
  return v_passed;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.prune_erased_jobs(p_now timestamp with time zone, p_before timestamp with time zone, p_limit integer, p_skip integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
 SET plan_cache_mode TO 'force_custom_plan'
AS $function$
declare
  v_ids uuid[];
begin
  v_ids := array(
    select o.id
    from unstuck.jobs o
    where o.user_id = unstuck_private.erased_user()
      and unstuck_private.is_final(o.status)
      and (
        o.updated_at < p_before
        or o.updated_at < p_now - interval '1 hour'
        and not exists (
          select from unstuck.job_steps s
          where s.job_id = o.id and s.provider_cancel_due <> '[]'
        )
      )
      and not exists (select from unstuck.jobs r where r.retry_of = o.id)
    order by o.updated_at
    limit p_limit
    offset p_skip
    for update of o skip locked
  );
  delete from unstuck.job_events e
  where e.job_id = any (v_ids);
  delete from unstuck.webhook_inbox w
  where w.job_id = any (v_ids);
  delete from unstuck.jobs j
  where j.id = any (v_ids);
  return cardinality(v_ids);
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.prune_inputs(p_before timestamp with time zone, p_limit integer, p_skip integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
 SET plan_cache_mode TO 'force_custom_plan'
AS $function$
declare
  v_jobs int;
  v_steps int;
begin
  update unstuck.jobs j
  set input = '{}'
  where j.ctid = any (array(
    select o.ctid
    from unstuck.jobs o
    where o.completed_at < p_before and o.input <> '{}'
    order by o.completed_at
    limit (p_limit + 1) / 2
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_jobs = row_count;
  update unstuck.job_steps s
  set input = '{}'
  where s.ctid = any (array(
    select o.ctid
    from unstuck.job_steps o
    where o.completed_at < p_before
      and o.input <> '{}'
      and (select j.completed_at < p_before from unstuck.jobs j where j.id = o.job_id)
    order by o.completed_at
    limit (p_limit + 1) / 2
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_steps = row_count;
  return v_jobs + v_steps;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.prune_job_events(p_before timestamp with time zone, p_limit integer, p_skip integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
 SET plan_cache_mode TO 'force_custom_plan'
AS $function$
declare
  v_pruned int;
begin
  delete from unstuck.job_events e
  where e.ctid = any (array(
    select o.ctid
    from unstuck.job_events o
    where o.at < p_before
      -- A subquery per row gives one plan, whatever the tables' statistics say.
      and coalesce(
        (select unstuck_private.is_final(j.status) from unstuck.jobs j where j.id = o.job_id),
        true
      )
    order by o.at
    limit p_limit
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_pruned = row_count;
  return v_pruned;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.prune_kind(p_kind text, p_now timestamp with time zone, p_keep interval, p_limit integer, p_skip integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_before timestamptz := p_now - p_keep;
begin
  return case p_kind
    when 'job_events' then unstuck_private.prune_job_events(v_before, p_limit, p_skip)
    when 'webhook_inbox' then unstuck_private.prune_webhook_inbox(v_before, p_limit, p_skip)
    when 'sweeps' then unstuck_private.prune_sweeps(v_before, p_limit, p_skip)
    when 'cancelled_requests' then
      unstuck_private.prune_cancelled_requests(v_before, p_limit, p_skip)
    when 'sessions' then unstuck_private.prune_sessions(v_before, p_limit, p_skip)
    when 'inputs' then unstuck_private.prune_inputs(v_before, p_limit, p_skip)
    when 'orphans' then unstuck_private.prune_orphans(v_before, p_limit, p_skip)
    when 'erased_jobs' then
      unstuck_private.prune_erased_jobs(p_now, v_before, p_limit, p_skip)
    when 'provider_alarms' then
      unstuck_private.prune_provider_alarms(v_before, p_limit, p_skip)
    when 'projection_errors' then
      unstuck_private.prune_projection_errors(v_before, p_limit, p_skip)
    when 'messages' then unstuck_private.prune_messages(v_before, p_limit, p_skip)
    when 'cron_runs' then unstuck_private.prune_cron_runs(v_before, p_limit)
    -- Files, which SQL must not delete, and kinds of a later version.
    else 0
  end;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.prune_messages(p_before timestamp with time zone, p_limit integer, p_skip integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
 SET plan_cache_mode TO 'force_custom_plan'
AS $function$
declare
  v_pruned int;
begin
  delete from unstuck.messages_owed m
  where m.ctid = any (array(
    select o.ctid
    from unstuck.messages_owed o
    where o.sent_at < p_before
      or (o.kind = 'job_end' and o.sent_at is null and o.created_at < p_before)
    order by o.created_at
    limit p_limit
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_pruned = row_count;
  return v_pruned;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.prune_old_rows(p_now timestamp with time zone)
 RETURNS TABLE(kind text, pruned integer, error text)
 LANGUAGE plpgsql
 SET search_path TO ''
 SET lock_timeout TO '50ms'
AS $function$
#variable_conflict use_column
declare
  v_rule record;
  v_began_at timestamptz;
  v_batch int;
  v_skip int;
  v_pruned int;
  v_total int;
  v_error text;
begin
  if not pg_catalog.pg_try_advisory_xact_lock(
    pg_catalog.hashtextextended('unstuck_private.prune_old_rows', 0)
  ) then
    return;
  end if;
  for v_rule in
    select
      r.kind,
      r.keep,
      coalesce(p.error_at > clock_timestamp() - interval '1 hour', false) as failed_lately
    from unstuck.retention r
    left join unstuck_private.retention_progress p on p.kind = r.kind
    where r.keep is not null
    order by r.kind
  loop
    v_began_at := clock_timestamp();
    v_batch := case when v_rule.failed_lately then 1 else 500 end;
    v_skip := 0;
    v_total := 0;
    v_error := null;
    loop
      begin
        v_pruned := unstuck_private.prune_kind(v_rule.kind, p_now, v_rule.keep, v_batch, v_skip);
        v_total := v_total + v_pruned;
        exit when v_pruned = 0;
        v_batch := least(v_batch * 2, 500);
      exception when others then
        if v_error is null then
          v_began_at := clock_timestamp();
        end if;
        v_error := sqlerrm;
        v_skip := v_skip + (v_batch = 1)::int;
        v_batch := 1;
        exit when v_skip >= 20;
      end;
      exit when v_total > 5000 - v_batch or clock_timestamp() - v_began_at > interval '100 ms';
    end loop;
    if v_total > 0 or v_error is not null then
      insert into unstuck_private.retention_progress as p (kind, pruned, pruned_at, error, error_at)
      values (
        v_rule.kind,
        v_total,
        case when v_total > 0 then clock_timestamp() end,
        v_error,
        case when v_error is not null then clock_timestamp() end
      )
      on conflict (kind) do update
      set
        pruned = p.pruned + excluded.pruned,
        pruned_at = coalesce(excluded.pruned_at, p.pruned_at),
        error = coalesce(excluded.error, p.error),
        error_at = coalesce(excluded.error_at, p.error_at);
    end if;
    return query select v_rule.kind, v_total, v_error;
  end loop;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.prune_orphans(p_before timestamp with time zone, p_limit integer, p_skip integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
 SET plan_cache_mode TO 'force_custom_plan'
AS $function$
declare
  v_ids uuid[];
begin
  v_ids := array(
    select o.id
    from unstuck.jobs o
    where o.status = 'cancelled'
      and o.request_hash is null
      and o.started_at is null
      and o.credits_charged = 0
      and o.completed_at < p_before
      and o.retry_of is null
      and not exists (select from unstuck.job_steps s where s.job_id = o.id)
      and not exists (select from unstuck.credit_entries e where e.job_id = o.id)
      and not exists (select from unstuck.jobs r where r.retry_of = o.id)
    order by o.completed_at
    limit p_limit
    offset p_skip
    for update of o skip locked
  );
  delete from unstuck.job_events e
  where e.job_id = any (v_ids);
  delete from unstuck.jobs j
  where j.id = any (v_ids);
  return cardinality(v_ids);
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.prune_projection_errors(p_before timestamp with time zone, p_limit integer, p_skip integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
 SET plan_cache_mode TO 'force_custom_plan'
AS $function$
declare
  v_pruned int;
begin
  delete from unstuck.projection_errors e
  where e.ctid = any (array(
    select o.ctid
    from unstuck.projection_errors o
    where o.mended_at < p_before
    order by o.mended_at
    limit p_limit
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_pruned = row_count;
  return v_pruned;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.prune_provider_alarms(p_before timestamp with time zone, p_limit integer, p_skip integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
 SET plan_cache_mode TO 'force_custom_plan'
AS $function$
declare
  v_pruned int;
begin
  delete from unstuck.provider_alarms a
  where a.ctid = any (array(
    select o.ctid
    from unstuck.provider_alarms o
    where o.at < p_before
    order by o.at
    limit p_limit
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_pruned = row_count;
  return v_pruned;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.prune_sessions(p_before timestamp with time zone, p_limit integer, p_skip integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
 SET plan_cache_mode TO 'force_custom_plan'
AS $function$
declare
  v_pruned int;
begin
  delete from unstuck.sessions s
  where s.ctid = any (array(
    select o.ctid
    from unstuck.sessions o
    where o.left_at < p_before
    order by o.left_at
    limit p_limit
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_pruned = row_count;
  return v_pruned;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.prune_sweeps(p_before timestamp with time zone, p_limit integer, p_skip integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
 SET plan_cache_mode TO 'force_custom_plan'
AS $function$
declare
  v_newest bigint;
  v_pruned int;
begin
  select s.id
  into v_newest
  from unstuck.sweeps s
  where s.finished_at is not null
  order by s.finished_at desc
  limit 1;
  delete from unstuck.sweeps s
  where s.ctid = any (array(
    select o.ctid
    from unstuck.sweeps o
    where o.started_at < p_before and o.id is distinct from v_newest
    order by o.started_at
    limit p_limit
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_pruned = row_count;
  return v_pruned;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.prune_webhook_inbox(p_before timestamp with time zone, p_limit integer, p_skip integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
 SET plan_cache_mode TO 'force_custom_plan'
AS $function$
declare
  v_pruned int;
begin
  delete from unstuck.webhook_inbox w
  where w.ctid = any (array(
    select o.ctid
    from unstuck.webhook_inbox o
    where o.received_at < p_before
      and coalesce(
        (select unstuck_private.is_final(j.status) from unstuck.jobs j where j.id = o.job_id),
        true
      )
    order by o.received_at
    limit p_limit
    offset p_skip
    for update skip locked
  ));
  get diagnostics v_pruned = row_count;
  return v_pruned;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.public_error(p_code text, p_message text)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select case
    when p_code is not null then jsonb_build_object(
      'code', p_code,
      'message', regexp_replace(coalesce(p_message, p_code), '^' || p_code || ': ?', '')
    )
  end
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.public_status(p_status text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select case
    when p_status in ('pending', 'blocked') then 'queued'
    when p_status = 'starting' then 'running'
    else p_status
  end
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.purchase_back(p_facts jsonb, p_amount bigint)
 RETURNS numeric
 LANGUAGE plpgsql
 IMMUTABLE
AS $function$
begin
  return (
    with dispute as (
      select distinct on (d.key) d.value ->> 'status' as status,
        unstuck_private.purchase_part((d.value ->> 'amount')::bigint, p_amount) as part
      from jsonb_array_elements(p_facts) as e (f)
      cross join lateral jsonb_each(f -> 'disputes') d
      order by d.key, (d.value ->> 'at')::numeric desc,
        array_position(array['warning', 'open', 'lost', 'won'], d.value ->> 'status') desc, 2 desc
    )
    select least(
      1,
      coalesce((select sum(d.part) from dispute d where d.status in ('open', 'lost')), 0)
      + unstuck_private.purchase_refunded(p_facts, p_amount)
    )
  );
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.purchase_due(p_facts jsonb)
 RETURNS TABLE(user_id uuid, email text, pack text, credits bigint, granted bigint, taken bigint)
 LANGUAGE sql
 IMMUTABLE
AS $function$
  with told as materialized (
    select
      min((f ->> 'userId') collate "C")::uuid as user_id,
      min((f ->> 'email') collate "C") as email,
      min((f ->> 'pack') collate "C") as pack,
      coalesce(bool_or((f ->> 'paid')::boolean), false) as is_paid,
      max((f ->> 'credits')::bigint) as credits,
      coalesce(max((f ->> 'quantity')::bigint), 1) as quantity,
      coalesce(max((f ->> 'share')::numeric), 1) as share,
      nullif(max((f ->> 'amount')::bigint), 0) as amount,
      (array_agg(f -> 'gives' order by
        f ? 'pack' desc, (f #>> '{gives,credits}')::numeric desc, f #>> '{gives,pack}'
      ) filter (where f ? 'gives'))[1] as gives
    from jsonb_array_elements(p_facts) as e (f)
  ), worth as (
    select t.*, unstuck_private.purchase_back(p_facts, t.amount) as back,
      floor(round(
        coalesce(t.credits, (t.gives ->> 'credits')::numeric * t.quantity, 0) * t.share, 6
      )) as in_full
    from told t
  )
  select w.user_id, w.email, coalesce(w.gives ->> 'pack', w.pack), c.credits,
    case when w.is_paid then c.credits else 0 end,
    case when w.is_paid then c.taken else 0 end
  from worth w
  cross join lateral (
    select
      unstuck_private.clamp_to_bigint(w.in_full) as credits,
      unstuck_private.clamp_to_bigint(floor(round(w.in_full * w.back, 6))) as taken
  ) c
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.purchase_fact(p_fact jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_fact jsonb;
  v_gives jsonb;
begin
  if jsonb_typeof(p_fact) is distinct from 'object'
    or jsonb_typeof(p_fact -> 'keys') is distinct from 'array'
    or jsonb_array_length(p_fact -> 'keys') not between 1 and 100
    or p_fact @? '$.keys[*] ? (@.type() != "string" || @ == "")'
    or p_fact @? '$.** ? (@.type() == "number" && @ < 0)'
    or p_fact @? '$.refundedShare.share ? (@ > 1)'
    or p_fact @? '$["link", "subscription"] ? (@.type() != "string" || @ == "")'
    or p_fact @? '$.quantities.* ? (@.type() != "number")'
    or p_fact @? '$.refunds.* ? (!(@.status like_regex "^(pending|succeeded|failed|canceled)$"))'
    or p_fact @? '$.disputes.* ? (!(@.status like_regex "^(open|won|lost|warning)$"))'
    or p_fact @? '$.refunds.* ? (!exists (@.at))'
    or p_fact @? '$.disputes.* ? (!exists (@.at))'
    or p_fact @? '$.refundTotal ? (!exists (@.at) || !exists (@.amount))'
    or p_fact @? '$.refundedShare ? (!exists (@.at) || !exists (@.share))'
  then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  begin
    v_fact := jsonb_strip_nulls(
      p_fact - array['keys', 'at', 'bound', 'gives']
      || jsonb_build_object(
        'userId', nullif((p_fact ->> 'userId')::uuid, unstuck_private.erased_user()),
        'email', nullif(lower(btrim(p_fact ->> 'email')), '')
      )
    );
    perform d.*
    from unstuck_private.purchase_due(jsonb_build_array(v_fact)) d;
  exception when data_exception then
    perform unstuck_private.refuse(400, 'bad_request');
  end;
  select jsonb_strip_nulls(jsonb_build_object(
    'pack', (array_agg(c.pack order by c.position, c.pack))[1],
    'packs', nullif(count(*), 1),
    'credits', sum(c.credits * case
      when c.pack = v_fact ->> 'pack' then 1
      else coalesce((v_fact -> 'quantities' ->> c.price_id)::numeric, 1)
    end)
  ))
  into v_gives
  from unstuck.credit_packs c
  where case
    when exists (select from unstuck.credit_packs n where n.pack = v_fact ->> 'pack')
      then c.pack = v_fact ->> 'pack'
    when exists (select from unstuck.credit_packs n where n.price_id = v_fact ->> 'link')
      then c.price_id = v_fact ->> 'link'
    else v_fact -> 'priceIds' ? c.price_id
  end
  having count(*) > 0;
  return jsonb_strip_nulls(v_fact || jsonb_build_object('gives', v_gives));
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.purchase_fact_kept(p_facts jsonb, p_fact jsonb)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select coalesce(
    (
      select jsonb_set(p_fact, '{gives}', k.value -> 'gives')
      from jsonb_array_elements(p_facts) k
      where k.value #> '{gives,pack}' = p_fact #> '{gives,pack}'
        and k.value #> '{gives,packs}' is not distinct from p_fact #> '{gives,packs}'
        and k.value -> 'quantities' is not distinct from p_fact -> 'quantities'
      order by k.value -> 'paid' desc nulls last, k.value
      limit 1
    ),
    p_fact
  )
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.purchase_facts_with(p_facts jsonb, p_fact jsonb)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select jsonb_agg(distinct e.value)
  from jsonb_array_elements(p_facts || jsonb_build_array(p_fact)) e
  where e.value - 'gives' <> p_fact - 'gives'
    or e.value = coalesce(
      (
        select k.value
        from jsonb_array_elements(p_facts) k
        where k.value - 'gives' = p_fact - 'gives'
          and (k.value ? 'gives' or not p_fact ? 'gives')
        limit 1
      ),
      p_fact
    )
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.purchase_given(p_ids uuid[], p_user_id uuid)
 RETURNS bigint
 LANGUAGE sql
 STABLE
AS $function$
  select (
    coalesce((
      select sum(e.amount)
      from unstuck.credit_entries e
      where e.purchase_id = any (p_ids)
        and e.user_id = coalesce(p_user_id, e.user_id)
    ), 0)
    - coalesce((
      select sum(d.amount - d.settled)
      from unstuck.credit_debts d
      where d.purchase_id = any (p_ids)
        and d.user_id = coalesce(p_user_id, d.user_id)
    ), 0)
  )::bigint
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.purchase_move(p_purchase unstuck.purchases, p_user_id uuid, p_due bigint)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_change bigint := p_due - unstuck_private.purchase_given(p_purchase.ids, p_user_id);
  v_rest bigint;
begin
  if v_change > 0 then
    v_rest := unstuck_private.debts_lessen(p_user_id, p_purchase.ids, v_change);
    insert into unstuck.credit_entries (user_id, purchase_id, kind, amount, reason, actor)
    select p_user_id, p_purchase.id, 'purchase', v_rest,
      coalesce(p_purchase.pack, p_purchase.seller), 'seller:' || p_purchase.seller
    where v_rest > 0;
  elsif v_change < 0 then
    v_rest := -v_change - unstuck_private.purchase_take(p_user_id, p_purchase.ids, -v_change);
    insert into unstuck.credit_debts (user_id, purchase_id, amount)
    select p_user_id, p_purchase.id, v_rest
    where v_rest > 0;
  end if;
  return v_change;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.purchase_owner(p_purchase unstuck.purchases, p_told uuid, p_email text)
 RETURNS uuid
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
declare
  v_told record;
begin
  if p_purchase.user_id = unstuck_private.erased_user() then
    return p_purchase.user_id;
  end if;
  p_told := coalesce(
    p_told, unstuck_private.subscription_user(p_purchase.seller, p_purchase.facts));
  v_told := unstuck_private.auth_user(p_told, null);
  if p_told is not null
    and (
      v_told.user_id is not null
      or not v_told.is_readable
      or exists (select from unstuck.credit_accounts a where a.user_id = p_told)
    )
  then
    return p_told;
  end if;
  if p_purchase.user_id is null
    or p_purchase.facts @> jsonb_build_array(jsonb_build_object('userId', p_purchase.user_id))
  then
    return (unstuck_private.auth_user(null, p_email)).user_id;
  end if;
  return p_purchase.user_id;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.purchase_part(p_amount numeric, p_whole numeric)
 RETURNS numeric
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select case when p_amount = 0 then 0 else coalesce(least(p_amount / p_whole, 1), 1) end
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.purchase_refunded(p_facts jsonb, p_amount bigint)
 RETURNS numeric
 LANGUAGE plpgsql
 IMMUTABLE
AS $function$
begin
  return (
    with fact as materialized (
      select e.value as f
      from jsonb_array_elements(p_facts) e
    ), refund as materialized (
      select distinct on (r.key) s.*
      from fact
      cross join lateral jsonb_each(f -> 'refunds') r
      cross join lateral (
        select unstuck_private.purchase_part((r.value ->> 'amount')::bigint, p_amount) as part,
          r.value ->> 'status' in ('failed', 'canceled') as is_failed,
          r.value ->> 'charge' as charge,
          (r.value ->> 'at')::numeric as at
      ) s
      order by r.key, s.is_failed desc, case when s.is_failed then -s.at else s.at end desc,
        s.part desc, s.charge
    ), told as materialized (
      select distinct on (charge) f #>> '{refundTotal,charge}' as charge,
        unstuck_private.purchase_part((f #>> '{refundTotal,amount}')::bigint, p_amount) as part,
        (f #>> '{refundTotal,at}')::numeric as at
      from fact
      where f ? 'refundTotal'
      order by 1, 3 desc, 2 desc
    ), total as (
      select t.charge, t.at,
        t.part - coalesce(sum(r.part), 0) as part
      from told t
      left join refund r
        on r.is_failed
        and r.at >= t.at
        and (t.charge is null or r.charge is null or r.charge = t.charge)
      group by t.charge, t.at, t.part
    ), of_charge as (
      select c.charge, max(c.part) as part
      from (
        select t.charge, t.part
        from total t
        union all
        select r.charge, sum(r.part)
        from refund r
        where not r.is_failed
        group by r.charge
      ) c
      where c.charge is not null
      group by c.charge
    ), shown as (
      select (f #>> '{refundedShare,share}')::numeric as part
      from fact
      where f ? 'refundedShare'
      order by (f #>> '{refundedShare,at}')::numeric desc, 1 desc
      limit 1
    )
    select greatest(
      0,
      (select s.part from shown s),
      (select sum(r.part) from refund r where not r.is_failed),
      (select sum(greatest(c.part, 0)) from of_charge c),
      (
        select t.part
        from total t
        where t.charge is null
          and t.at > all (select o.at from told o where o.charge is not null)
      )
    )
  );
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.purchase_settle(p_id uuid, OUT granted bigint, OUT taken bigint, OUT user_id uuid)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_purchase unstuck.purchases;
  v_due record;
  v_owner uuid;
  v_user uuid;
  v_change bigint;
begin
  select p.*
  into v_purchase
  from unstuck.purchases p
  where p.id = p_id;
  select d.*
  into v_due
  from unstuck_private.purchase_due(v_purchase.facts) d;
  if v_due.credits > unstuck_private.grant_max() then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  v_owner := unstuck_private.purchase_owner(v_purchase, v_due.user_id, v_due.email);
  user_id := coalesce(v_owner, v_due.user_id);
  begin
    update unstuck.purchases p
    set
      user_id = coalesce(v_owner, v_due.user_id),
      email = v_due.email,
      pack = v_due.pack,
      credits = v_due.credits,
      granted = case when v_owner is null then 0 else v_due.granted end,
      taken = case when v_owner is null then 0 else v_due.taken end,
      waits = v_owner is null and v_due.granted > v_due.taken
    where p.id = p_id
    returning p.*
    into v_purchase;
    granted := 0;
    taken := 0;
    for v_user in
      select e.user_id
      from unstuck.credit_entries e
      where e.purchase_id = any (v_purchase.ids)
      union
      select v_owner
      where v_owner <> unstuck_private.erased_user()
        and v_due.granted > v_due.taken
      order by 1
    loop
      perform unstuck_private.account_lock(v_user);
      v_change := unstuck_private.purchase_move(v_purchase, v_user,
        case when v_user = v_owner then v_due.granted - v_due.taken else 0 end);
      granted := granted + greatest(v_change, 0);
      taken := taken + greatest(-v_change, 0);
    end loop;
  exception when others then
    if sqlstate not like 'PT4%' then
      raise;
    end if;
    -- The app's wallet refuses this user, who is in no team for example. The payment is kept, and
    -- given once the wallet takes it.
    update unstuck.purchases p
    set
      user_id = coalesce(v_owner, v_due.user_id),
      email = v_due.email,
      pack = v_due.pack,
      credits = v_due.credits,
      waits = true
    where p.id = p_id;
    granted := 0;
    taken := 0;
  end;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.purchase_take(p_user_id uuid, p_ids uuid[], p_amount bigint)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_taken bigint;
begin
  insert into unstuck.credit_entries (user_id, purchase_id, kind, amount, reason, receipt)
  select p_user_id, p_ids[1], 'chargeback', -p_amount, given.reason, given.receipt
  from (select) as one
  left join lateral (
    select e.reason, e.receipt
    from unstuck.credit_entries e
    where e.purchase_id = any (p_ids)
      and e.user_id = p_user_id
      and e.kind = 'purchase'
    order by e.id desc
    limit 1
  ) given on true
  returning -amount
  into v_taken;
  return coalesce(v_taken, 0);
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.purchases_before_insert()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  new.ids := coalesce(new.ids, array[new.id]);
  return new;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.purchases_join(p_ids uuid[])
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  with gone as (
    delete from unstuck.purchases p
    where p.id = any (p_ids[2:])
    returning p.*
  ), part as materialized (
    select *
    from gone
    union all
    select *
    from unstuck.purchases p
    where p.id = p_ids[1]
  ), fact as materialized (
    select distinct unstuck_private.purchase_fact_kept(first.facts, e.value) as fact
    from part
    cross join lateral jsonb_array_elements(part.facts) e
    join part first on first.id = p_ids[1]
  )
  update unstuck.purchases p
  set
    keys = array(select distinct unnest(q.keys) collate "C" from part q order by 1),
    ids = array(select distinct unnest(q.ids) from part q order by 1),
    facts = (select jsonb_agg(f.fact order by f.fact) from fact f),
    -- Who was found by an e-mail address; whom a fact tells is found anew.
    user_id = (
      select q.user_id
      from part q
      where q.user_id is not null
        and not exists (select from fact f where f.fact ->> 'userId' = q.user_id::text)
      order by q.user_id
      limit 1
    )
  where p.id = p_ids[1]
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.purchases_lock(p_seller text, p_keys text[])
 RETURNS uuid[]
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_lock bigint;
  v_ids uuid[];
begin
  for v_lock in
    select distinct hashtextextended(p_seller || ' ' || k.key, 0)
    from unnest(p_keys) as k (key)
    order by 1
  loop
    perform pg_advisory_xact_lock(v_lock);
  end loop;
  loop
    v_ids := unstuck_private.purchases_named(p_seller, p_keys);
    begin
      perform
      from unstuck.purchases p
      where p.id = any (v_ids)
      order by p.id
      for update;
      if v_ids = unstuck_private.purchases_named(p_seller, p_keys) then
        return v_ids;
      end if;
      -- Another fact joined some of them meanwhile: this lets go of the rows.
      raise sqlstate 'UN409';
    exception when sqlstate 'UN409' then
      null;
    end;
  end loop;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.purchases_named(p_seller text, p_keys text[])
 RETURNS uuid[]
 LANGUAGE sql
 STABLE
AS $function$
  select array(
    select p.id
    from unstuck.purchases p
    where p.seller = p_seller
      and p.keys && p_keys
    order by p.created_at, p.id
  )
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.purchases_naming(p_user_id uuid)
 RETURNS SETOF uuid
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select p.id
  from unstuck.purchases p
  where p.user_id = p_user_id
    or p.user_id is null
    and p.email = (select a.confirmed_email from unstuck_private.auth_user(p_user_id, null) a)
    or p.facts @> jsonb_build_array(jsonb_build_object('userId', p_user_id))
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.purchases_unaudited()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  insert into unstuck_private.unaudited (user_id)
  select n.user_id
  from new_rows n
  where n.user_id is not null;
  return null;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.queue_order(p_provider text, p_now timestamp with time zone)
 RETURNS TABLE(job_id uuid, step integer, tool text, begins boolean, "position" bigint)
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET jit TO 'off'
AS $function$
begin
  return query
  with waiting as not materialized (
    select s.*, greatest(s.turn_at, s.not_before, t.circuit_open_until) as ready_at
    from unstuck.job_steps s
    left join unstuck.tools t
      on t.tool = s.line_tool
      and t.circuit_open_until > p_now
    where s.provider = p_provider
      and s.status = 'queued'
      and unstuck_private.is_in_time(s, p_now)
  ),
  -- The user's second step, third and so on: as if each had the user's turn.
  further as (
    select w.job_id, w.step, w.line_tool, w.run, w.ready_at, w.line_user_id,
      1 + row_number() over (
        partition by w.line_user_id
        order by w.line_since, w.job_id, w.step
      ) as nth
    from waiting w
    where w.turn_at is null
  ),
  turns as (
    select f.line_user_id, min(w.turn_at) as turn_at
    from (select distinct u.line_user_id from further u) f
    left join waiting w
      on w.line_user_id = f.line_user_id
      and w.turn_at is not null
    group by f.line_user_id
  ),
  line as (
    select w.job_id, w.step, w.line_tool, w.run, w.ready_at, 1::bigint as nth, w.turn_at
    from waiting w
    where w.turn_at is not null
    union all
    select f.job_id, f.step, f.line_tool, f.run, f.ready_at, f.nth, t.turn_at
    from further f
    left join turns t using (line_user_id)
  )
  select
    l.job_id,
    l.step,
    l.line_tool,
    l.step = 1 and (
      l.run = 0
      -- A step that was put back may belong to a job that has begun.
      or (
        select j.status
        from unstuck.jobs j
        where j.id = l.job_id
      ) = 'queued'
    ),
    row_number() over (
      order by coalesce(greatest(l.ready_at, l.turn_at) > p_now, false), l.nth,
        case when l.ready_at > p_now then l.ready_at end, l.turn_at, l.job_id, l.step
    )
  from line l;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.queues_ask(p_now timestamp with time zone)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  insert into unstuck_private.healer_marks (healer)
  values ('queues')
  on conflict do nothing;
  update unstuck_private.healer_marks m
  set asked_at = coalesce(m.asked_at, p_now),
    pinged_at = p_now
  where m.ctid = any (array(
    select h.ctid
    from unstuck_private.healer_marks h
    where h.healer = 'queues'
      and coalesce(h.seen_at, '-infinity') < p_now - interval '4 minutes'
      and coalesce(h.pinged_at, '-infinity') < p_now - interval '2 minutes'
    for update skip locked
  ));
  return found;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.quiet_until(p_now timestamp with time zone, p_from integer, p_to integer)
 RETURNS timestamp with time zone
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
AS $function$
  select case
    when p_from is null or p_to is null or p_from = p_to then p_now
    when (h.hour - p_from + 24) % 24 >= (p_to - p_from + 24) % 24 then p_now
    else (
      date_trunc('hour', p_now at time zone 'UTC')
      + ((p_to - h.hour + 24) % 24) * interval '1 hour'
    ) at time zone 'UTC'
  end
  from (select extract(hour from p_now at time zone 'UTC')::int as hour) h
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.refund_ask(p_job unstuck.jobs, p_step integer, p_amount bigint, p_reason text)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO ''
 SET lock_timeout TO '200ms'
AS $function$
declare
  v_given bigint := 0;
  v_error text;
begin
  begin
    v_given := least(greatest(coalesce(
      unstuck_private.wallet_refund(
        p_job.user_id, p_amount, p_job.id, p_reason, unstuck_private.job_receipt(p_job.id)),
      0), 0), p_amount);
    if v_given > 0 then
      insert into unstuck.credit_entries (
        user_id, job_id, step, kind, amount, balance_after, reason)
      values (
        p_job.user_id, p_job.id, p_step, 'refund', v_given,
        unstuck_private.balance_shown(p_job.user_id, p_job.tool), p_reason);
    end if;
    if v_given < p_amount then
      v_error := format('the wallet gave %s of %s', v_given, p_amount);
    end if;
  exception when others then
    v_given := 0;
    v_error := sqlerrm;
  end;
  if v_error is not null then
    insert into unstuck.refunds_owed as o (job_id, step, amount, error)
    values (p_job.id, p_step, p_amount - v_given, v_error)
    on conflict (job_id, step) do update
    set amount = o.amount + excluded.amount,
      error = excluded.error;
  end if;
  return v_given;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.refund_lines(p_ids uuid[])
 RETURNS TABLE(job_id uuid, user_id uuid, is_per_step boolean, debit bigint, refunded bigint, has_job_refund boolean, free_number integer, step integer, nth bigint, share bigint, without_result boolean, has_refund boolean)
 LANGUAGE sql
 STABLE
AS $function$
  select j.id, j.user_id, s.job_id is not null, l.debit, l.refunded, l.has_job_refund,
    l.free_number, s.step,
    row_number() over own_steps,
    case
      when sum(s.share) over own = l.debit then s.share
      else unstuck_private.share_of(
        l.debit, (count(*) over own)::int, (row_number() over own_steps)::int)
    end,
    s.status in ('failed', 'cancelled'),
    exists (
      select
      from unstuck.credit_entries e
      where e.job_id = j.id
        and e.step = s.step
        and e.kind = 'refund'
    )
  from unstuck_private.jobs_ledger(p_ids) l
  join unstuck.jobs j on j.id = l.job_id
  left join unstuck.job_steps s
    on j.refund_rule = 'per_step'
    and s.job_id = j.id
  window own as (partition by j.id), own_steps as (partition by j.id order by s.step)
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.refunds_due(p_ids uuid[], p_statuses text[])
 RETURNS TABLE(job_id uuid, user_id uuid, debit bigint, refunded bigint, step integer, amount bigint)
 LANGUAGE sql
 STABLE
AS $function$
  with line as materialized (
    select l.*,
      greatest(
        case
          when l.is_per_step then
            coalesce(sum(l.share) filter (where l.without_result) over own, 0)
          when n.status in ('failed', 'cancelled') then l.debit
          else 0
        end - l.refunded, 0) as rest,
      l.without_result and not l.has_refund as is_open,
      coalesce(sum(l.share) filter (where l.without_result and not l.has_refund) over own, 0)
        as open_shares,
      coalesce(sum(l.share) filter (where l.without_result and not l.has_refund) over (
        partition by l.job_id
        order by l.step
      ), 0) as open_so_far
    from unstuck_private.refund_lines(p_ids) l
    join unnest(p_ids, p_statuses) as n (id, status) on n.id = l.job_id
    window own as (partition by l.job_id)
  )
  select l.job_id, l.user_id, l.debit, l.refunded, l.step,
    least(l.share, l.rest - l.open_so_far + l.share)
  from line l
  where l.is_open
    and l.rest > l.open_so_far - l.share
    and l.share > 0
  union all
  select l.job_id, l.user_id, l.debit, l.refunded,
    case when l.is_per_step or l.has_job_refund then l.free_number end,
    case when l.rest > l.open_shares then l.rest - l.open_shares end
  from line l
  where l.nth = 1
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.refunds_owed_pay(p_user_id uuid, p_until timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_owed record;
  v_step int;
  v_given bigint;
begin
  -- Nothing is owed as a rule, and then no job is read.
  if not exists (select from unstuck.refunds_owed) then
    return;
  end if;
  for v_owed in
    select o.ctid, o.step, o.amount, o.at, o.tries, j as job
    from unstuck.refunds_owed o
    join unstuck.jobs j on j.id = o.job_id
    where j.user_id = coalesce(p_user_id, j.user_id)
    order by o.tries, o.at
    limit 200
  loop
    exit when clock_timestamp() > p_until;
    begin
      continue when unstuck_private.jobs_try_lock(array[(v_owed.job).id]) = '{}';
      -- Another pass may have paid it before this one held the job.
      delete from unstuck.refunds_owed o
      where o.ctid = v_owed.ctid
        and o.tries = v_owed.tries
        and o.amount = v_owed.amount
        and o.job_id = (v_owed.job).id;
      continue when not found;
      -- No entry ever changes: what follows a part of a refund stands under a free number.
      v_step := (
        select case
          when exists (
            select from unstuck.credit_entries e
            where e.job_id = l.job_id
              and e.kind = 'refund'
              and e.step is not distinct from v_owed.step
          ) then l.free_number
          else v_owed.step
        end
        from unstuck_private.jobs_ledger(array[(v_owed.job).id]) l
      );
      v_given := unstuck_private.refund_ask(
        v_owed.job, v_step, v_owed.amount, 'a refund that was owed');
      update unstuck.refunds_owed o
      set at = least(o.at, v_owed.at),
        tries = greatest(o.tries, v_owed.tries + 1)
      where o.job_id = (v_owed.job).id
        and o.step is not distinct from v_step;
      update unstuck.jobs j
      set credits_refunded = j.credits_refunded + v_given
      where j.id = (v_owed.job).id
        and v_given > 0;
    exception when others then
      raise warning 'the refund of % that is owed failed: %', (v_owed.job).id, sqlerrm;
      update unstuck.refunds_owed o
      set tries = o.tries + 1,
        error = sqlerrm
      where o.ctid in (
        select l.ctid
        from unstuck.refunds_owed l
        where l.ctid = v_owed.ctid
          and l.tries = v_owed.tries
          and l.job_id = (v_owed.job).id
        for update skip locked
      );
    end;
  end loop;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.refuse(p_status integer, p_code text, p_fields jsonb DEFAULT '{}'::jsonb)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  raise exception using
    errcode = 'PT' || p_status,
    message = p_code,
    detail = p_fields::text;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.refuse_adoption(p_job unstuck.jobs)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  if p_job.status = 'pending'
    or (p_job.status = 'cancelled' and p_job.error_code = 'ORPHANED')
    or (
      p_job.status = 'queued'
      and not exists (select from unstuck.job_steps s where s.job_id = p_job.id)
    )
  then
    return;
  end if;
  perform unstuck_private.refuse(
    409,
    'already_final',
    jsonb_build_object('status', p_job.status, 'refundedCredits', p_job.credits_refunded)
  );
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.refuse_apps_row(p_user_id uuid, p_job_id uuid, p_tool text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_is_taken boolean;
  v_tries int := 0;
begin
  loop
    begin
      v_is_taken := unstuck_private.is_apps_row(p_user_id, p_job_id, p_tool);
      exit;
    exception when lock_not_available then
      v_tries := v_tries + 1;
      if v_tries >= 20 then
        raise;
      end if;
    end;
    perform pg_sleep(0.01);
  end loop;
  if v_is_taken then
    perform unstuck_private.refuse(409, 'idempotency_conflict');
  end if;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.refuse_cancelled_request(p_user_id uuid, p_job_id uuid)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  if exists (
    select from unstuck.cancelled_requests c
    where c.user_id = p_user_id
      and c.job_id = p_job_id
  ) then
    perform unstuck_private.refuse(
      409,
      'already_final',
      jsonb_build_object('status', 'cancelled', 'refundedCredits', 0)
    );
  end if;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.refuse_final(p_job unstuck.jobs)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  if unstuck_private.is_final(p_job.status) then
    perform unstuck_private.refuse(
      409,
      'already_final',
      jsonb_build_object('status', p_job.status, 'refundedCredits', p_job.credits_refunded)
    );
  end if;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.refuse_full_queue(p_job_id uuid, p_tool unstuck.tools)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_seconds_over int := unstuck_private.seconds_over_queue_ttl(p_job_id, p_tool);
begin
  if v_seconds_over > 0 then
    perform unstuck_private.refuse(
      503, 'queue_full', jsonb_build_object('retry_after', v_seconds_over));
  end if;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.refuse_other_deployment()
 RETURNS void
 LANGUAGE plpgsql
 STABLE
AS $function$
begin
  if unstuck_private.other_deployment() is not null then
    perform unstuck_private.refuse(503, 'wrong_deployment');
  end if;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.refuse_other_order(p_job unstuck.jobs, p_user_id uuid, p_tool text, p_request_hash text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  if p_job.user_id <> p_user_id
    or p_job.tool <> p_tool
    or p_job.request_hash <> p_request_hash
  then
    perform unstuck_private.refuse(409, 'idempotency_conflict');
  end if;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.refuse_other_table(p_job unstuck.jobs, p_table text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  if p_table is null or p_table not in (select t.table_name from unstuck.tools t) then
    perform unstuck_private.refuse(400, 'bad_request', '{"field": "table"}');
  end if;
  if p_job.id is null or not exists (
    select from unstuck.tools t
    where t.tool = p_job.tool
      and t.table_name = p_table
  ) then
    perform unstuck_private.refuse(404, 'not_found');
  end if;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.refuse_over_balance(p_user_id uuid, p_tool text, p_price bigint)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_balance bigint;
  v_unlimited boolean;
  v_debt bigint;
begin
  perform unstuck_private.waiting_credits_give(p_user_id);
  v_debt := unstuck_private.debt_open(p_user_id);
  select w.balance, w.unlimited
  into v_balance, v_unlimited
  from unstuck_private.wallet_lock(p_user_id, p_tool, true) w;
  if v_debt > 0 or (coalesce(v_balance, 0) < p_price and v_unlimited is not true) then
    perform unstuck_private.refuse(
      402,
      'insufficient_credits',
      jsonb_strip_nulls(jsonb_build_object(
        'balance', coalesce(v_balance, 0),
        'required', p_price,
        'debt', nullif(v_debt, 0)
      ))
    );
  end if;
  return coalesce(v_balance, 0);
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.refuse_second_live_job(p_user_id uuid, p_job_id uuid, p_tool unstuck.tools)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_other unstuck.jobs;
begin
  if p_tool.exclusive_group is null then
    return;
  end if;
  select j.*
  into v_other
  from unstuck.jobs j
  join unstuck.tools t using (tool)
  where j.user_id = p_user_id
    and t.exclusive_group = p_tool.exclusive_group
    and j.id <> p_job_id
    and j.quarantined_at is null
    and (
      j.status in ('starting', 'running')
      -- A queued row without the key was inserted by others. It may be an orphan, and an orphan
      -- blocks nobody.
      or (j.status = 'queued' and j.exclusive_key is not null)
    );
  if found then
    perform unstuck_private.refuse(
      409,
      'active_job_exists',
      jsonb_build_object(
        'activeJobId', v_other.id,
        'activeTool', v_other.tool,
        'activeStatus', unstuck_private.public_status(v_other.status)
      )
    );
  end if;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.refuse_wide_filter(p_filter jsonb, p_limit integer, p_reason text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  if jsonb_typeof(p_filter) is distinct from 'object'
    or jsonb_strip_nulls(p_filter) - array[
      'ids', 'tool', 'status', 'provider', 'userId', 'errorCode', 'createdAfter', 'createdBefore'
    ] = jsonb_strip_nulls(p_filter)
  then
    perform unstuck_private.refuse(400, 'bad_request', '{"field": "filter"}');
  end if;
  begin
    perform (p_filter ->> 'createdAfter')::timestamptz, (p_filter ->> 'createdBefore')::timestamptz;
  exception when data_exception then
    perform unstuck_private.refuse(400, 'bad_request', '{"field": "filter"}');
  end;
  if p_limit is null or p_limit not between 0 and 1000 then
    perform unstuck_private.refuse(400, 'bad_request', '{"field": "limit"}');
  end if;
  if p_limit > 0 then
    perform unstuck_private.refuse_without_reason(p_reason);
  end if;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.refuse_without_reason(p_reason text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  if coalesce(trim(p_reason), '') = '' then
    perform unstuck_private.refuse(400, 'bad_request', '{"field": "reason"}');
  end if;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.removals_record(p_users uuid[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  with remains as (
    select u.id as user_id,
      exists (select from unstuck.jobs j where j.user_id = u.id) as has_jobs,
      exists (select from unstuck.credit_entries e where e.user_id = u.id) as has_ledger
    from unnest(p_users) as u (id)
  ), forgotten as (
    delete from unstuck_private.removals r
    using remains l
    where r.user_id = l.user_id and not l.has_jobs and not l.has_ledger
  )
  insert into unstuck_private.removals as r (user_id, jobs_removed_at, ledger_removed_at)
  select l.user_id,
    case when not l.has_jobs then clock_timestamp() else '-infinity' end,
    case when not l.has_ledger then clock_timestamp() else '-infinity' end
  from remains l
  where l.has_jobs and not l.has_ledger
    or not l.has_jobs and exists (
      select from unstuck.credit_entries e
      where e.user_id = l.user_id and e.job_id is not null
    )
  on conflict (user_id) do update set
    jobs_removed_at = greatest(r.jobs_removed_at, excluded.jobs_removed_at),
    ledger_removed_at = greatest(r.ledger_removed_at, excluded.ledger_removed_at);
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.request_header(p_name text)
 RETURNS text
 LANGUAGE sql
 STABLE
AS $function$
  select nullif(current_setting('request.headers', true), '')::jsonb ->> p_name
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.seconds_between(p_from timestamp with time zone, p_to timestamp with time zone)
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE STRICT
AS $function$
  select greatest(
    least(extract(epoch from p_to) - extract(epoch from p_from), 2147483647),
    -2147483647)::int
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.seconds_over_queue_ttl(p_job_id uuid, p_tool unstuck.tools)
 RETURNS integer
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  v_free int;
begin
  select unstuck_private.slot_limit(p, clock_timestamp()) - (
    select count(*)
    from unstuck.job_steps s
    where s.provider = p.provider
      and unstuck_private.holds_slot(s)
  )
  into v_free
  from unstuck.providers p
  where p.provider = p_tool.provider;
  if (
    select count(*)
    from (
      select
      from unstuck.job_steps s
      where s.provider = p_tool.provider
        and s.status = 'queued'
        and s.job_id <> p_job_id
      limit greatest(v_free, 0)
    ) s
  ) < v_free
    or not exists (
      select from unstuck.job_steps s
      where s.provider = p_tool.provider
        and s.status = 'completed'
        and s.started_at is not null
    )
  then
    return 0;
  end if;
  return (
    select p.eta_seconds - least(extract(epoch from p_tool.queue_ttl), 2147483647)::int
    from unstuck_private.job_position(p_job_id) p
  );
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.seconds_until_slots_free(p_provider text, p_times unstuck_private.tool_time[])
 RETURNS numeric[]
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
begin
  return (
    with busy as (
      select
        abs(
          coalesce(t.seconds, 60)
          - unstuck_private.seconds_between(
            coalesce(s.claimed_at, s.sent_at, s.started_at, j.created_at),
            clock_timestamp()
          )
        ) as seconds
      from unstuck.job_steps s
      join unstuck.jobs j on j.id = s.job_id
      left join unnest(p_times) t on t.tool = j.tool
      where s.provider = p_provider
        and unstuck_private.holds_slot(s)
    ),
    slot as (
      select generate_series(
        1, greatest(unstuck_private.slot_limit(p, clock_timestamp()), 1)
      ) as slot
      from unstuck.providers p
      where p.provider = p_provider
    ),
    held as (
      -- After the limit was lowered there are more steps than slots: those that end first free
      -- none.
      select b.seconds
      from busy b
      union all
      select 0
      from slot
      order by 1 desc
      limit (select count(*) from slot)
    )
    select array_agg(h.seconds)
    from held h
  );
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.seconds_until_start(p_tool unstuck.tools)
 RETURNS integer
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
declare
  v_now timestamptz := clock_timestamp();
  v_times unstuck_private.tool_time[] := unstuck_private.tool_times(p_tool.provider);
  v_next unstuck.job_steps;
  v_seconds numeric;
begin
  -- The last of those whose turn has come.
  v_next.provider := p_tool.provider;
  v_next.line_tool := p_tool.tool;
  v_next.turn_at := v_now;
  v_next.job_id := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
  v_next.step := 1;
  select sum(a.steps * coalesce(t.seconds, 60))
  into v_seconds
  from unstuck_private.steps_ahead(v_next, v_now) a
  left join unnest(v_times) t on t.tool = a.tool;
  return (
    select least(
      ceil(
        greatest(
          unstuck_private.seconds_until_work_done(
            p_tool.provider, v_times, coalesce(v_seconds, 0)),
          unstuck_private.seconds_between(
            v_now, greatest(p_tool.circuit_open_until, p.circuit_open_until)),
          0
        )
      ),
      2147483647
    )::int
    from unstuck.providers p
    where p.provider = p_tool.provider
  );
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.seconds_until_work_done(p_provider text, p_times unstuck_private.tool_time[], p_seconds numeric)
 RETURNS numeric
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
begin
  -- With the n slots that are free first: (work + the sum of their times) / n, where the next slot
  -- is not free earlier.
  return (
    select min((p_seconds + f.total) / f.slots)
    from (
      select
        s.free_in,
        sum(s.free_in) over (order by s.free_in, s.slot) as total,
        row_number() over (order by s.free_in, s.slot) as slots
      from unnest(unstuck_private.seconds_until_slots_free(p_provider, p_times))
        with ordinality as s (free_in, slot)
    ) f
  );
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.session_silence()
 RETURNS interval
 LANGUAGE sql
 IMMUTABLE
AS $function$ select interval '150 seconds' $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.session_word(p_user_id uuid, p_session_id text, p_after interval, p_stays boolean)
 RETURNS timestamp with time zone
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_now timestamptz := clock_timestamp();
begin
  if p_user_id is null or coalesce(p_session_id, '') = '' then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  if not exists (
      select from unstuck.sessions s
      where s.user_id = p_user_id and s.id = p_session_id
    )
    and (select count(*) from unstuck.sessions s where s.user_id = p_user_id) >= 1000
  then
    perform unstuck_private.refuse(
      429,
      'rate_limited',
      jsonb_build_object('retry_after', unstuck_private.sessions_full_for(p_user_id))
    );
  end if;
  insert into unstuck.sessions as s (id, user_id, seen_at, left_at)
  values (p_session_id, p_user_id, case when p_stays then v_now end, v_now + p_after)
  on conflict (user_id, id) do update
  set seen_at = coalesce(excluded.seen_at, s.seen_at), left_at = excluded.left_at;
  return v_now + p_after;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.sessions_before_insert()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  new.left_at := coalesce(
    new.left_at,
    coalesce(new.seen_at, clock_timestamp()) + unstuck_private.session_silence()
  );
  return new;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.sessions_full_for(p_user_id uuid)
 RETURNS integer
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select least(
    greatest(ceil(extract(epoch from min(s.left_at) + r.keep - clock_timestamp())), 1),
    2147483647)::int
  from unstuck.sessions s
  join unstuck.retention r on r.kind = 'sessions'
  where s.user_id = p_user_id
  group by r.keep
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.settings_log()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_old jsonb := to_jsonb(old);
  v_new jsonb := to_jsonb(new);
  v_from jsonb;
  v_to jsonb;
begin
  if current_setting('unstuck.actor', true) = 'migration' then
    return null;
  end if;
  select jsonb_object_agg(c.name, v_old -> c.name), jsonb_object_agg(c.name, v_new -> c.name)
  into v_from, v_to
  from unnest(tg_argv[2:]) as c (name)
  where v_old -> c.name is distinct from v_new -> c.name;
  if v_from is not null then
    perform unstuck_private.admin_log_write(tg_argv[0], v_new ->> tg_argv[1], v_from, v_to);
  end if;
  return null;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.settings_swap(p_settings jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_name text;
  v_value text;
  v_before jsonb := '{}';
begin
  for v_name, v_value in
    select s.key, s.value
    from jsonb_each_text(p_settings) s
  loop
    v_before := v_before
      || jsonb_build_object(v_name, coalesce(current_setting(v_name, true), ''));
    perform set_config(v_name, v_value, true);
  end loop;
  return v_before;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.settled_before(p_now timestamp with time zone)
 RETURNS timestamp with time zone
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
begin
  return (
    select greatest(
      least(
        p_now,
        min(a.xact_start),
        case
          when bool_or(a.query = '<insufficient privilege>') then p_now - interval '65 seconds'
        end
      ),
      p_now - interval '10 minutes'
    )
    from pg_catalog.pg_stat_activity a
    where a.datname = current_database()
      and a.pid <> pg_backend_pid()
      and a.backend_type <> 'autovacuum worker'
  );
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.share_of(p_price bigint, p_steps integer, p_step integer)
 RETURNS bigint
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select p_price / p_steps + (p_step <= p_price % p_steps)::int
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.signup_bonus_due(p_user_id uuid)
 RETURNS bigint
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select b.credits
  from unstuck.signup_bonus b
  where not unstuck_private.has_adapter()
    and not exists (select from unstuck.erasures e where e.user_id = p_user_id)
    and not exists (select from unstuck.credit_entries e where e.user_id = p_user_id)
    and (unstuck_private.auth_user(p_user_id, null)).created_at >= b.since
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.signup_bonus_give(p_user_id uuid)
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  insert into unstuck.credit_entries (user_id, kind, amount, reason, idempotency_key)
  select p_user_id, 'bonus', b.credits, 'sign-up', 'signup:' || p_user_id
  from unstuck_private.signup_bonus_due(p_user_id) as b (credits)
  where b.credits is not null
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.slot_limit(p_provider unstuck.providers, p_at timestamp with time zone)
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select least(
    p_provider.max_concurrent,
    p_provider.learned_limit + coalesce(p_provider.limit_probe_at <= p_at, true)::int
  )
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.slot_limit_fall(p_step unstuck.job_steps, p_delay interval)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_learned int;
  v_taken int;
begin
  if p_step.sent_at is null then
    return;
  end if;
  select p.learned_limit
  into v_learned
  from unstuck.providers p
  where p.provider = p_step.provider
  for no key update;
  v_taken := unstuck_private.peak_at_provider(p_step.provider, p_step.sent_at, true);
  update unstuck.providers p
  set learned_limit = least(v_learned, v_taken),
    limit_probe_at = clock_timestamp() + greatest(
      unstuck_private.probe_pause(coalesce(v_learned <= v_taken, false)),
      least(p_delay, unstuck_private.probe_pause(true))
    )
  where p.provider = p_step.provider;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.slot_limit_rise(p_step unstuck.job_steps)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_taken int;
begin
  if not exists (
    select from unstuck.providers p
    where p.provider = p_step.provider
      and p.learned_limit is not null
  ) then
    return;
  end if;
  v_taken := unstuck_private.peak_at_provider(p_step.provider, p_step.sent_at, false);
  update unstuck.providers p
  set learned_limit = v_taken,
    limit_probe_at = clock_timestamp() + unstuck_private.probe_pause(false)
  where p.provider = p_step.provider
    and p.learned_limit < v_taken;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.status_word(p_table text, p_status text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select case
    when unstuck_private.is_final(p_status) then p_status
    when p_status in ('pending', 'queued', 'blocked') then
      case
        when p_table in (
          'generation_jobs', 'generation_tasks', 'replicate_tasks', 'generation_history'
        ) then 'pending'
        else 'queued'
      end
    when p_table in ('generation_jobs', 'generation_tasks', 'replicate_tasks') then 'processing'
    when p_table = 'generation_history' then 'generating'
    else 'running'
  end
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.step_fail(p_job unstuck.jobs, p_step integer, p_code text, p_message text)
 RETURNS TABLE(job_status text, refunded bigint)
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
#variable_conflict use_column
declare
  v_status text := 'failed';
  v_given bigint;
begin
  if p_job.refund_rule = 'per_step' then
    update unstuck.job_steps s
    set status = 'failed',
      error_code = p_code,
      error_message = p_code || ': ' || p_message,
      completed_at = clock_timestamp(),
      lease_until = null,
      provider_cancel_due = unstuck_private.cancel_debt_with(s)
    where s.job_id = p_job.id
      and s.step = p_step;
    select case
      when bool_or(not unstuck_private.is_final(s.status)) then 'running'
      when bool_or(s.status = 'completed') then 'completed'
      else 'failed'
    end
    into v_status
    from unstuck.job_steps s
    where s.job_id = p_job.id;
  end if;
  if v_status <> 'running' then
    return query
    select c.status, c.refunded
    from unstuck_private.jobs_finalise(
      array[p_job.id], array[v_status], array[p_code], array[p_message]) c;
    return;
  end if;
  with back as (
    select *
    from unstuck_private.jobs_refund(array[p_job.id], array['running'], array[p_code])
  )
  update unstuck.jobs j
  set credits_charged = b.debit,
    credits_refunded = least(b.refunded::numeric + b.given, b.debit)
  from back b
  where j.id = b.job_id
  returning b.given
  into v_given;
  -- Restart the queue TTL of queued siblings: it is paused while another step of the job works.
  update unstuck.job_steps s
  set deadline_at = least(clock_timestamp() + t.queue_ttl, p_job.expires_at)
  from unstuck.tools t
  where s.job_id = p_job.id
    and s.status = 'queued'
    and t.tool = p_job.tool;
  perform unstuck_private.job_sync_from_steps(array[p_job.id]);
  return query select 'running', v_given;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.step_fail_exhausted(p_now timestamp with time zone, p_job_id uuid, p_step integer)
 RETURNS TABLE(job_id uuid, tool text, status text, refunded bigint)
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
#variable_conflict use_column
declare
  v_job unstuck.jobs;
  v_attempts int;
begin
  select *
  into v_job
  from unstuck.jobs
  where id = p_job_id;
  select s.attempts
  into v_attempts
  from unstuck.job_steps s
  where s.job_id = p_job_id
    and s.step = p_step
    and s.status = 'running'
    and s.provider_done_at is null
    and s.lease_until <= p_now;
  if not found or v_job.quarantined_at is not null then
    return;
  end if;
  if unstuck_private.has_ledger_mismatch(v_job) then
    perform unstuck_private.jobs_quarantine(
      array[p_job_id], 'credits_refunded does not agree with the ledger');
    return;
  end if;
  return query
  select v_job.id, v_job.tool, f.job_status, f.refunded
  from unstuck_private.step_fail(
    v_job, p_step, 'TIMEOUT', format('no answer after %s attempts.', v_attempts)) f;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.step_fail_or_quarantine(p_job unstuck.jobs, p_step integer, p_code text, p_message text)
 RETURNS TABLE(job_status text, refunded bigint)
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  return query
  select f.job_status, f.refunded
  from unstuck_private.step_fail(p_job, p_step, p_code, p_message) f;
exception
  when lock_not_available or transaction_rollback or insufficient_resources or system_error then
    raise;
  when others then
    perform unstuck_private.jobs_quarantine(array[p_job.id], sqlerrm);
    return query select p_job.status, 0::bigint;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.step_lock(p_job_id uuid, p_step integer, p_run bigint)
 RETURNS unstuck.job_steps
 LANGUAGE plpgsql
 SET search_path TO ''
 SET lock_timeout TO '5s'
AS $function$
declare
  v_step unstuck.job_steps;
begin
  if unstuck_private.is_healers_call() then
    set local lock_timeout = '20ms';
  end if;
  perform 1
  from unstuck.jobs
  where id = p_job_id
  for update;
  select *
  into v_step
  from unstuck.job_steps
  where job_id = p_job_id
    and step = p_step
    and run = p_run
    and status in ('starting', 'running')
  for update;
  if not found then
    return null;
  end if;
  return v_step;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.step_record_late_success(p_step unstuck.job_steps, p_run bigint, p_task_id text, p_output jsonb)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  insert into unstuck.job_events (
    job_id, step, run, event, from_status, to_status, actor, detail)
  select p_step.job_id, p_step.step, p_run, 'late_success', p_step.status, p_step.status,
    'worker', jsonb_build_object('task_id', p_task_id, 'output', p_output)
  where not exists (
    select from unstuck.job_events e
    where e.job_id = p_step.job_id
      and e.step = p_step.step
      and e.run = p_run
      and e.event = 'late_success'
  );
  update unstuck.job_steps s
  set provider_cancel_due = unstuck_private.cancel_debt_without(s.provider_cancel_due, p_task_id)
  where s.job_id = p_step.job_id
    and s.step = p_step.step
    and s.provider_cancel_due <> '[]';
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.step_row_id(p_step unstuck.job_steps)
 RETURNS uuid
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select md5(p_step.job_id || '/' || p_step.step)::uuid
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.step_take_success(p_step unstuck.job_steps, p_is_older boolean, p_task_id text, p_output jsonb, p_deadline timestamp with time zone)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO ''
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
declare
  v_run bigint;
begin
  update unstuck.job_steps s
  set status = 'running',
    run = s.run + p_is_older::int,
    provider_cancel_due = case
      when p_is_older
        and s.provider_task_id is distinct from p_task_id
        and s.provider_task_id is not null
      then
        s.provider_cancel_due
        || jsonb_build_object('task_id', s.provider_task_id, 'run', s.run)
      else unstuck_private.cancel_debt_without(s.provider_cancel_due, p_task_id)
    end,
    provider_task_id = coalesce(p_task_id, s.provider_task_id),
    output = p_output,
    not_before = null,
    sent_at = coalesce(s.sent_at, clock_timestamp()),
    started_at = coalesce(s.started_at, s.sent_at, clock_timestamp()),
    provider_done_at = coalesce(s.provider_done_at, clock_timestamp()),
    lease_until = clock_timestamp() + i.lease,
    deadline_at = p_deadline
  from unstuck_private.intervals() i
  where s.job_id = p_step.job_id
    and s.step = p_step.step
  returning s.run
  into v_run;
  return v_run;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.steps_ahead(p_step unstuck.job_steps, p_now timestamp with time zone)
 RETURNS TABLE(tool text, steps bigint, jobs bigint)
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET jit TO 'off'
AS $function$
begin
  if p_step.turn_at <= p_now
    and not exists (
      select from unstuck.tools t
      where t.tool = p_step.line_tool
        and t.circuit_open_until > p_now
    )
  then
    return query
    select t.tool, b.steps + e.steps,
      b.steps + e.steps - case when b.others + e.others = 0 then 0 else (
        -- Only the first step stands for a job, and only until the job has begun.
        select count(*)
        from unstuck.job_steps s
        join unstuck.jobs j on j.id = s.job_id
        where s.provider = p_step.provider
          and s.line_tool = t.tool
          and s.status = 'queued'
          and s.turn_at is not null
          and (s.turn_at, s.job_id, s.step) < (p_step.turn_at, p_step.job_id, p_step.step)
          and unstuck_private.is_in_time(s, p_now)
          and (s.step > 1 or s.run > 0 and j.status <> 'queued')
      ) end
    from unstuck.tools t
    cross join lateral (
      select count(*) as steps, count(*) filter (where s.step > 1 or s.run > 0) as others
      from unstuck.job_steps s
      where s.provider = p_step.provider
        and s.line_tool = t.tool
        and s.status = 'queued'
        and s.turn_at < p_step.turn_at
        and unstuck_private.is_in_time(s, p_now)
    ) b
    -- Those of the same moment apart: to compare one column is a fifth cheaper.
    cross join lateral (
      select count(*) as steps, count(*) filter (where s.step > 1 or s.run > 0) as others
      from unstuck.job_steps s
      where s.provider = p_step.provider
        and s.line_tool = t.tool
        and s.status = 'queued'
        and s.turn_at = p_step.turn_at
        and (s.job_id, s.step) < (p_step.job_id, p_step.step)
        and unstuck_private.is_in_time(s, p_now)
    ) e
    where coalesce(t.circuit_open_until <= p_now, true)
      and b.steps + e.steps > 0;
    return;
  end if;
  return query
  with line as materialized (
    select *
    from unstuck_private.queue_order(p_step.provider, p_now) q
  )
  select l.tool, count(*), count(*) filter (where l.begins)
  from line l
  where l."position" < (
    select m."position"
    from line m
    where m.job_id = p_step.job_id
      and m.step = p_step.step
  )
  group by l.tool;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.steps_claim(p_provider unstuck.providers, p_now timestamp with time zone, p_turns unstuck_private.turn[])
 RETURNS TABLE(job_id uuid, step integer, run bigint, tool text, user_id uuid, attempts integer, input jsonb, previous_output_url text, run_ms integer)
 LANGUAGE plpgsql
 SET search_path TO ''
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
#variable_conflict use_column
begin
  return query
  with claimed as (
    update unstuck.job_steps s
    set status = case when p_provider.synchronous then 'running' else 'starting' end,
      run = s.run + 1,
      claimed_at = p_now,
      sent_at = null,
      provider_task_id = null,
      checked_at = null,
      not_before = null,
      -- That the provider is full is said only while the step waits.
      error_code = nullif(s.error_code, 'PROVIDER_BUSY'),
      error_message = case when s.error_code <> 'PROVIDER_BUSY' then s.error_message end,
      attempts = greatest(s.attempts, 0) + p_provider.synchronous::int,
      started_at = case when p_provider.synchronous then p_now end,
      lease_until = p_now + case when p_provider.synchronous then i.lease else t.start_timeout end,
      deadline_at = least(
        p_now + case when p_provider.synchronous then t.run_timeout else t.start_timeout end,
        j.expires_at)
    from unnest(p_turns) with ordinality as p (job_id, step, user_id, nth, turn_at, "position")
    cross join unstuck_private.intervals() i,
      unstuck.jobs j,
      unstuck.tools t
    where s.job_id = p.job_id
      and s.step = p.step
      and j.id = s.job_id
      and t.tool = j.tool
    returning s.job_id, s.step, s.run, j.tool, j.user_id, s.attempts, s.input, s.deadline_at,
      p."position", greatest(least(p_now + t.run_timeout, j.expires_at), p_now) - p_now as run_for
  ), job as (
    update unstuck.jobs j
    set status = case
        when p_provider.synchronous or j.status = 'running' then 'running'
        else 'starting'
      end,
      started_at = case
        when p_provider.synchronous then coalesce(j.started_at, p_now)
        else j.started_at
      end,
      waited_in_queue = j.waited_in_queue
        or coalesce(j.queued_at, j.created_at) < p_now - interval '2 seconds',
      current_step = case when t.step_order = 'sequential' then c.step else j.current_step end,
      deadline_at = c.deadline_at
    from (
      select c.job_id, max(c.step) as step, min(c.deadline_at) as deadline_at
      from claimed c
      group by c.job_id
    ) c, unstuck.tools t
    where j.id = c.job_id
      and t.tool = j.tool
  )
  select c.job_id, c.step, c.run, c.tool, c.user_id, c.attempts, c.input,
    (
      select b.output_url
      from unstuck.job_steps b
      where b.job_id = c.job_id
        and b.step = c.step - 1
    ),
    least(ceil(extract(epoch from c.run_for) * 1000), 2147483647)::int
  from claimed c
  order by c."position";
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.steps_due_at_provider(p_provider unstuck.providers, p_now timestamp with time zone, p_all boolean, p_limit integer)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  return (
    select jsonb_agg(to_jsonb(m))
    from (
      select s.job_id, s.step,
        case
          when s.provider_done_at is not null then 'copy'
          when s.provider_task_id is null then 'inbox'
          else 'query'
        end as due,
        s.deadline_at <= p_now as overdue
      from unstuck.job_steps s
      cross join unstuck_private.intervals() i
      where s.provider = p_provider.provider
        and s.status in ('starting', 'running')
        and s.sent_at is not null
        and case
          when s.provider_done_at is not null then
            coalesce(s.lease_until, '-infinity') <= p_now
          when s.provider_task_id is null then
            coalesce(s.lease_until, p_now) <= p_now
            and coalesce(s.checked_at, '-infinity') <= p_now - interval '5 seconds'
          when s.deadline_at <= p_now then
            coalesce(s.checked_at, '-infinity') <= p_now - interval '5 seconds'
            or s.checked_at <= s.deadline_at
          else
            p_all
            or coalesce(s.checked_at, s.sent_at) <= p_now - case
              when p_provider.signed_webhooks then interval '3 minutes'
              else i.check_every
            end
        end
      order by
        s.deadline_at > p_now,
        coalesce(s.checked_at, '-infinity'),
        s.job_id,
        s.step
      limit p_limit
      for update of s skip locked
    ) m
  );
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.steps_ended(p_from timestamp with time zone, p_to timestamp with time zone)
 RETURNS TABLE(provider text, class text, is_failure boolean, attempts integer, ended_at timestamp with time zone, tool text)
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
#variable_conflict use_column
begin
  return query
  select s.provider,
    case s.status
      when 'failed' then lower(coalesce(s.error_code, j.error_code, 'unknown'))
      else s.status
    end,
    s.status = 'failed'
      and coalesce(s.error_code, j.error_code, '') in (
        'TIMEOUT', 'PROVIDER_REJECTED', 'PROVIDER_FAILED', 'DELIVERY_FAILED'
      ),
    s.attempts,
    s.completed_at,
    j.tool
  from unstuck_private.jobs_ended(p_from, p_to) j
  join unstuck.job_steps s on s.job_id = j.id;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.steps_fail_exhausted(p_now timestamp with time zone, p_user_id uuid, p_limit integer, p_until timestamp with time zone)
 RETURNS TABLE(job_id uuid, tool text, status text, refunded bigint)
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
#variable_conflict use_column
declare
  v_job uuid;
  v_step int;
begin
  for v_job, v_step in
    select s.job_id, s.step
    from unstuck.job_steps s
    join unstuck.jobs j on j.id = s.job_id
    join unstuck.tools t using (tool)
    join unstuck.providers p on p.provider = s.provider
    where s.status = 'running'
      and p.synchronous
      and not p.retried_by_function
      and s.lease_until <= p_now
      and s.provider_done_at is null
      and s.attempts >= t.attempt_max
      and j.quarantined_at is null
      and (p_user_id is null or j.user_id = p_user_id)
    order by s.lease_until, s.job_id, s.step
    limit p_limit
  loop
    exit when clock_timestamp() > p_until;
    continue when unstuck_private.jobs_try_lock(array[v_job]) = '{}';
    begin
      return query
      select e.job_id, e.tool, e.status, e.refunded
      from unstuck_private.step_fail_exhausted(p_now, v_job, v_step) e;
    exception
      when lock_not_available or transaction_rollback or insufficient_resources or system_error then
        null;
      when others then
        perform unstuck_private.jobs_quarantine(array[v_job], sqlerrm);
    end;
  end loop;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.steps_pick(p_provider text, p_now timestamp with time zone, p_limit integer)
 RETURNS unstuck_private.turn[]
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  -- The tools whose steps are not let through as usual, and those that have a trial now.
  v_shut text[] := array(
    select t.tool
    from unstuck.tools t
    where t.circuit_open_until is not null
  );
  v_trials text[] := array(
    select t.tool
    from unstuck.tools t
    where t.circuit_open_until <= p_now
  );
  v_turns unstuck_private.turn[] := array(
    select t
    from unstuck_private.turns_lock(p_provider, p_now, v_shut, null, p_limit) t
  );
  v_tool text;
begin
  foreach v_tool in array v_trials loop
    v_turns := v_turns || array(
      select t
      from unstuck_private.turns_lock(p_provider, p_now, '{}', v_tool, 1) t
    );
  end loop;
  if cardinality(v_turns) < p_limit then
    v_turns := v_turns || array(
      select t
      from unstuck_private.next_turns_lock(
        p_provider, p_now, v_shut, v_turns, p_limit - cardinality(v_turns)) t
    );
  end if;
  return array(
    select t
    from unnest(v_turns) t
    order by t.nth, t.turn_at, t.job_id, t.step
    limit p_limit
  );
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.steps_requeue(p_now timestamp with time zone, p_ids uuid[])
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_half int := cardinality(p_ids) / 2;
  v_jobs uuid[];
begin
  if p_ids = '{}' then
    return 0;
  end if;
  begin
    with back as (
      update unstuck.job_steps s
      set status = 'queued',
        lease_until = null,
        claimed_at = null,
        started_at = null,
        sent_at = null,
        rescues = s.rescues + (s.status = 'starting')::int,
        deadline_at = least(p_now + t.queue_ttl, j.expires_at)
      from unstuck.jobs j
      join unstuck.tools t using (tool)
      cross join unstuck.providers p
      where s.job_id = any (p_ids)
        and s.status in ('starting', 'running')
        and s.lease_until <= p_now
        and j.id = s.job_id
        and p.provider = s.provider
        and unstuck_private.can_requeue(s, t, p)
        and unstuck_private.is_live(j.status)
        and j.quarantined_at is null
        and not exists (
          select
          from unstuck_private.unhealed u
          where u.job_id = j.id
            and u.retry_at > p_now
        )
      returning s.job_id
    )
    select array_agg(b.job_id)
    into v_jobs
    from back b;
    perform unstuck_private.job_sync_from_steps(v_jobs);
    return coalesce(cardinality(v_jobs), 0);
  exception
    when lock_not_available or transaction_rollback or insufficient_resources or system_error then
      if v_half = 0 then
        return 0;
      end if;
    when others then
      if v_half = 0 then
        perform unstuck_private.jobs_quarantine(p_ids, sqlerrm);
        return 0;
      end if;
  end;
  return unstuck_private.steps_requeue(p_now, p_ids[:v_half])
    + unstuck_private.steps_requeue(p_now, p_ids[v_half + 1:]);
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.steps_rescue(p_now timestamp with time zone, p_user_id uuid, p_limit integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_jobs uuid[];
begin
  v_jobs := array(
    select s.job_id
    from unstuck.job_steps s
    join unstuck.jobs j on j.id = s.job_id
    join unstuck.tools t using (tool)
    join unstuck.providers p on p.provider = s.provider
    where s.status in ('starting', 'running')
      and s.lease_until <= p_now
      and unstuck_private.can_requeue(s, t, p)
      and j.expires_at > p_now
      and j.quarantined_at is null
      and (p_user_id is null or j.user_id = p_user_id)
    order by s.lease_until, s.job_id
    limit p_limit
  );
  return unstuck_private.steps_requeue(p_now, unstuck_private.jobs_try_lock(v_jobs));
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.steps_reserve(p_now timestamp with time zone, p_keys jsonb)
 RETURNS TABLE(job_id uuid, step integer, run bigint, due text, task_id text, overdue boolean, output jsonb, input jsonb, done_at timestamp with time zone, sent_at timestamp with time zone, provider_cancel_due jsonb)
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
#variable_conflict use_column
declare
  v_key jsonb;
begin
  begin
    update unstuck.job_steps s
    set checked_at = p_now,
      lease_until = case when k.due = 'copy' then p_now + i.lease else s.lease_until end
    from jsonb_to_recordset(p_keys) as k (job_id uuid, step int, due text)
    cross join unstuck_private.intervals() i
    where s.job_id = k.job_id
      and s.step = k.step;
  exception when others then
    if jsonb_array_length(p_keys) > 1 then
      for v_key in
        select k.value
        from jsonb_array_elements(p_keys) k
      loop
        return query
        select *
        from unstuck_private.steps_reserve(p_now, jsonb_build_array(v_key));
      end loop;
    end if;
    return;
  end;
  return query
  select s.job_id, s.step, s.run, k.due, s.provider_task_id, k.overdue, s.output,
    case
      when k.due = 'inbox' then s.input
      else jsonb_build_object('result', s.input -> 'result')
    end,
    s.provider_done_at, s.sent_at, s.provider_cancel_due
  from rows from (
    jsonb_to_recordset(p_keys) as (job_id uuid, step int, due text, overdue boolean)
  ) with ordinality as k (job_id, step, due, overdue, nth)
  join unstuck.job_steps s using (job_id, step)
  order by k.nth;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.steps_with_cancel_debt(p_provider text, p_now timestamp with time zone, p_limit integer)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  return (
    select jsonb_agg(to_jsonb(m))
    from (
      select s.job_id, s.step, 'cancel' as due, false as overdue
      from unstuck.job_steps s
      where s.provider = p_provider
        and s.provider_cancel_due <> '[]'
        and coalesce(s.checked_at, '-infinity') <= p_now - interval '15 seconds'
      order by s.checked_at nulls first, s.job_id
      limit p_limit
      for update of s skip locked
    ) m
  );
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.storage_state()
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
declare
  v_state jsonb;
begin
  if to_regclass('storage.buckets') is null or to_regclass('storage.objects') is null then
    return null;
  end if;
  execute $q$
    select jsonb_build_object('buckets', coalesce(jsonb_agg(jsonb_build_object(
      'id', b.id,
      'public', b.public,
      'bytes_max', b.file_size_limit,
      'types', b.allowed_mime_types
    ) order by b.id), '[]'))
    from storage.buckets b
  $q$
  into v_state;
  return v_state || jsonb_build_object(
    'row_security', (
      select c.relrowsecurity
      from pg_catalog.pg_class c
      where c.oid = 'storage.objects'::regclass
    ),
    'upload_policy', (
      select p.with_check
      from pg_catalog.pg_policies p
      where p.schemaname = 'storage'
        and p.tablename = 'objects'
        and p.policyname = 'unstuck uploads insert'
        and p.cmd = 'INSERT'
        and p.permissive = 'PERMISSIVE'
    )
  );
exception when insufficient_privilege then
  return null;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.subscription_user(p_seller text, p_facts jsonb)
 RETURNS uuid
 LANGUAGE plpgsql
 STABLE
AS $function$
begin
  return (
    select min((f ->> 'userId') collate "C")::uuid
    from jsonb_array_elements(jsonb_path_query_array(p_facts, '$[*].subscription')) as o (name)
    join unstuck.purchases p
      on p.seller = p_seller
      and jsonb_path_query_array(p.facts, '$[*].subscription') @> o.name
    cross join jsonb_array_elements(p.facts) as e (f)
    where f -> 'subscription' = o.name
  );
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.swap_turn()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_now timestamptz := clock_timestamp();
  v_holder unstuck.job_steps;
begin
  select s.*
  into v_holder
  from unstuck.job_steps s
  where s.provider = new.provider
    and s.line_user_id = new.line_user_id
    and s.status = 'queued'
    and s.turn_at <= v_now
    and (s.line_since, s.job_id, s.step) > (new.line_since, new.job_id, new.step)
  limit 1
  for update skip locked;
  if found then
    update unstuck.job_steps s
    set turn_at = case
      when s.job_id = new.job_id and s.step = new.step then least(old.turn_at, v_holder.turn_at)
    end
    where (s.job_id, s.step) in ((new.job_id, new.step), (v_holder.job_id, v_holder.step));
  end if;
  return null;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.sweep(p_now timestamp with time zone, p_user_id uuid, p_limit integer, p_budget interval)
 RETURNS TABLE(job_id uuid, tool text, status text, refunded bigint, requeued integer, remaining integer)
 LANGUAGE plpgsql
 SET search_path TO ''
 SET plan_cache_mode TO 'force_custom_plan'
AS $function$
#variable_conflict use_column
declare
  v_until timestamptz := clock_timestamp() + p_budget;
  v_remaining int := p_limit;
  v_rows int;
  v_is_stopped boolean;
  v_by text;
  v_ids uuid[];
  v_at timestamptz;
  v_id uuid;
begin
  perform unstuck_private.act_as('sweep');
  -- A user's own heal locks the account first, like every other function that works on the user.
  if p_user_id is not null
    and not (
      unstuck_private.has_due_jobs(p_user_id, p_now)
      and unstuck_private.account_try_lock(p_user_id)
    )
  then
    return;
  end if;
  foreach v_by in array
    case when p_user_id is null then array['deadline', 'age', 'left'] else array['user', 'left'] end
  loop
    v_at := '-infinity';
    v_id := '00000000-0000-0000-0000-000000000000';
    loop
      v_is_stopped := v_remaining <= 0 or clock_timestamp() > v_until;
      select c.ids, c.last_at, c.last_id
      into v_ids, v_at, v_id
      from unstuck_private.sweep_candidates(p_now, v_by, p_user_id, v_at, v_id,
        case when v_is_stopped then 1000 else least(greatest(v_remaining, 100), 2000) end) c;
      exit when v_ids is null;
      if v_is_stopped then
        return query
        select null::uuid, null::text, null::text, 0::bigint, 0,
          unstuck_private.count_due_among(p_now, v_ids);
        exit;
      end if;
      begin
        return query
        select *
        from unstuck_private.sweep_page(p_now, v_by, v_ids, v_remaining, v_until);
        get diagnostics v_rows = row_count;
        v_remaining := v_remaining - (v_rows - 1);
      exception when others then
        raise warning 'a page of the sweep failed: %', sqlerrm;
      end;
    end loop;
  end loop;
  begin
    return query
    select e.job_id, e.tool, e.status, e.refunded, 0, 0
    from unstuck_private.steps_fail_exhausted(p_now, p_user_id, least(p_limit, 200), v_until) e;
  exception when others then
    raise warning 'steps_fail_exhausted failed: %', sqlerrm;
  end;
  begin
    return query
    select null::uuid, null::text, null::text, 0::bigint,
      unstuck_private.steps_rescue(p_now, p_user_id, p_limit), 0;
  exception when others then
    raise warning 'steps_rescue failed: %', sqlerrm;
  end;
  begin
    perform unstuck_private.refunds_owed_pay(p_user_id, v_until);
  exception when others then
    raise warning 'refunds_owed_pay failed: %', sqlerrm;
  end;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.sweep_candidates(p_now timestamp with time zone, p_by text, p_user_id uuid, p_at timestamp with time zone, p_id uuid, p_limit integer, OUT ids uuid[], OUT last_at timestamp with time zone, OUT last_id uuid)
 RETURNS record
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
declare
  v_old timestamptz := p_now - (select min(t.run_timeout) from unstuck.tools t);
begin
  if p_by = 'deadline' then
    select array_agg(c.id), max(c.at)
    into ids, last_at
    from (
      select j.id, j.deadline_at as at
      from unstuck.jobs j
      where unstuck_private.is_live(j.status)
        and j.quarantined_at is null
        and j.deadline_at <= p_now
        and (j.deadline_at, j.id) > (p_at, p_id)
      order by j.deadline_at, j.id
      limit p_limit
    ) c;
  elsif p_by = 'age' then
    select array_agg(c.id), max(c.at)
    into ids, last_at
    from (
      select j.id, coalesce(j.started_at, j.created_at) as at
      from unstuck.jobs j
      where unstuck_private.is_live(j.status)
        and j.quarantined_at is null
        and j.deadline_at > p_now
        and coalesce(j.started_at, j.created_at) <= v_old
        and (coalesce(j.started_at, j.created_at), j.id) > (p_at, p_id)
      order by coalesce(j.started_at, j.created_at), j.id
      limit p_limit
    ) c;
  elsif p_by = 'left' then
    select array_agg(c.id), max(c.at)
    into ids, last_at
    from (
      select j.id, j.created_at as at
      from unstuck.jobs j
      join unstuck.sessions s on s.user_id = j.user_id and s.id = j.session_id
      where j.status in ('pending', 'queued')
        and j.quarantined_at is null
        and s.left_at <= p_now
        and (p_user_id is null or j.user_id = p_user_id)
        and unstuck_private.is_left(j, p_now)
        and (j.created_at, j.id) > (p_at, p_id)
      order by j.created_at, j.id
      limit p_limit
    ) c;
  else
    select array_agg(c.id), max(c.at)
    into ids, last_at
    from (
      select j.id, j.deadline_at as at
      from unstuck.jobs j
      where unstuck_private.is_live(j.status)
        and j.quarantined_at is null
        and j.user_id = p_user_id
        and (j.deadline_at <= p_now or coalesce(j.started_at, j.created_at) <= v_old)
        and (j.deadline_at, j.id) > (p_at, p_id)
      order by j.deadline_at, j.id
      limit p_limit
    ) c;
  end if;
  last_id := ids[cardinality(ids)];
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.sweep_finish(p_sweep_id bigint)
 RETURNS TABLE(stuck integer, violations integer, remaining integer, ping_queues boolean, ask_balances boolean)
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_stuck int;
  v_violations int;
  v_remaining int := 0;
  v_source text;
begin
  begin
    v_stuck := unstuck_private.count_stuck(clock_timestamp());
    v_remaining := unstuck_private.count_due(clock_timestamp());
  exception when query_canceled or others then
    raise warning 'sweep %: what is left could not be counted: %', p_sweep_id, sqlerrm;
  end;
  begin
    perform unstuck_private.audit(interval '500 milliseconds');
    v_violations := (select count(*) from unstuck.violations_found)
      + (select count(*) from unstuck_private.violations_now());
  exception when query_canceled or others then
    raise warning 'sweep %: the audit failed: %', p_sweep_id, sqlerrm;
  end;
  begin
    perform unstuck_private.counters_fold(clock_timestamp());
  exception when query_canceled or others then
    raise warning 'sweep %: what ended could not be counted: %', p_sweep_id, sqlerrm;
  end;
  update unstuck.sweeps s
  set finished_at = clock_timestamp(), stuck = v_stuck, violations = v_violations
  where s.id = p_sweep_id
  returning s.source
  into v_source;
  perform unstuck_private.healer_mark(
    case v_source when 'sql' then 'sql' else 'edge' end, clock_timestamp());
  return query
  select v_stuck, v_violations, v_remaining,
    v_source <> 'sql' and unstuck_private.queues_ask(clock_timestamp()),
    v_source <> 'sql' and unstuck_private.balances_ask(clock_timestamp());
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.sweep_newest()
 RETURNS SETOF unstuck.sweeps
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select *
  from unstuck.sweeps w
  where w.finished_at is not null
  order by w.finished_at desc
  limit 1
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.sweep_page(p_now timestamp with time zone, p_by text, p_ids uuid[], p_limit integer, p_until timestamp with time zone)
 RETURNS TABLE(job_id uuid, tool text, status text, refunded bigint, requeued integer, remaining integer)
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
#variable_conflict use_column
declare
  v_due record;
begin
  if p_by = 'age' then
    begin
      p_ids := array(select d.job_id from unstuck_private.jobs_due(p_now, p_ids) d);
    exception when others then
      -- One of them cannot be judged: `jobs_due_each` finds it under the locks.
      null;
    end;
  end if;
  v_due := unstuck_private.jobs_due_each(p_now, unstuck_private.jobs_try_lock(p_ids));
  return query
  select c.job_id, c.tool, c.status, c.refunded, 0, 0
  from unstuck_private.jobs_finalise_each(
    v_due.ids, v_due.statuses, v_due.codes, v_due.messages, p_until, p_limit) c;
  return query
  select null::uuid, null::text, null::text, 0::bigint, 0,
    unstuck_private.count_due_among(p_now, p_ids);
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.sweep_pass(p_sweep_id bigint, p_limit integer, p_budget interval)
 RETURNS TABLE(cleaned integer, refunded_credits bigint, requeued integer, remaining integer, tables jsonb)
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
#variable_conflict use_column
declare
  v_sums record;
begin
  perform unstuck_private.heal_app(clock_timestamp() + p_budget / 4);
  with closed as (
    select s.*, t.table_name
    from unstuck_private.sweep(
      clock_timestamp(), null, least(greatest(p_limit, 1), 100000), p_budget) s
    left join unstuck.tools t using (tool)
  )
  select
    count(c.job_id)::int as cleaned,
    unstuck_private.clamp_to_bigint(coalesce(sum(c.refunded), 0)) as refunded,
    coalesce(sum(c.requeued), 0)::int as requeued,
    coalesce(sum(c.remaining), 0)::int as remaining,
    (
      select jsonb_agg(
        jsonb_build_object(
          'table_name', n.table_name,
          'cancelled_count', (
            select count(*)
            from closed x
            where x.table_name = n.table_name
          ),
          'refunded_credits', (
            select unstuck_private.clamp_to_bigint(coalesce(sum(x.refunded), 0))
            from closed x
            where x.table_name = n.table_name
          )
        )
        order by n.table_name
      )
      from (select distinct t.table_name from unstuck.tools t) n
    ) as tables
  into v_sums
  from closed c;
  update unstuck.sweeps s
  set cleaned = s.cleaned + v_sums.cleaned,
    refunded_credits = unstuck_private.clamp_to_bigint(
      s.refunded_credits::numeric + v_sums.refunded),
    requeued = s.requeued + v_sums.requeued
  where s.id = p_sweep_id;
  -- A failure here undoes nothing that the pass healed.
  begin
    perform 1
    from unstuck_private.prune_old_rows(clock_timestamp());
  exception when others or query_canceled then
    raise warning 'sweep %: pruning failed: %', p_sweep_id, sqlerrm;
  end;
  return query
  select v_sums.cleaned, v_sums.refunded, v_sums.requeued, v_sums.remaining, v_sums.tables;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.take_turn(p_provider text, p_user_id uuid, p_at timestamp with time zone)
 RETURNS timestamp with time zone
 LANGUAGE plpgsql
 SET search_path TO ''
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  v_by timestamptz := greatest(p_at, clock_timestamp());
begin
  perform 1
  from unstuck.job_steps s
  where s.provider = p_provider
    and s.line_user_id = p_user_id
    and s.status = 'queued'
    and s.turn_at <= v_by
    and unstuck_private.is_in_time(s, clock_timestamp())
    and s.line_tool not in (
      select t.tool
      from unstuck.tools t
      where t.circuit_open_until is not null
    )
  order by s.turn_at
  limit 1
  for no key update skip locked;
  return case when not found then p_at end;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.timeout_message(p_is_waiting boolean, p_since timestamp with time zone, p_now timestamp with time zone)
 RETURNS text
 LANGUAGE sql
 STABLE
AS $function$
  select format('%s after %s.',
    case when p_is_waiting then 'not started' else 'no result' end,
    unstuck_private.minutes_text(unstuck_private.minutes_between(p_since, p_now)))
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.tool_change(p_tool unstuck.tools, p_change jsonb)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  update unstuck.tools t
  set enabled = coalesce((p_change ->> 'enabled')::boolean, t.enabled),
    credit_cost = coalesce((p_change ->> 'creditCost')::bigint, t.credit_cost),
    priced_per = coalesce(p_change ->> 'pricedPer', t.priced_per),
    run_timeout = coalesce(
      (p_change ->> 'runTimeoutSeconds')::int * interval '1 second', t.run_timeout),
    queue_ttl = coalesce((p_change ->> 'queueTtlSeconds')::int * interval '1 second', t.queue_ttl),
    attempt_max = coalesce((p_change ->> 'attemptMax')::int, t.attempt_max),
    user_cancel_running = coalesce(
      (p_change ->> 'userCancelRunning')::boolean, t.user_cancel_running),
    provider_cost = coalesce((p_change ->> 'providerCost')::numeric, t.provider_cost)
  where t.tool = p_tool.tool;
  if (p_change ->> 'closeCircuit')::boolean and p_tool.circuit_open_until is not null then
    update unstuck.tools t
    set circuit_open_until = null
    where t.tool = p_tool.tool;
    perform unstuck_private.admin_log_write(
      'circuit_closed', p_tool.tool, jsonb_build_object('reason', p_tool.circuit_reason), null);
  end if;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.tool_lifetime(p_tool unstuck.tools, p_provider unstuck.providers, p_steps integer)
 RETURNS interval
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select
    p_tool.queue_ttl
    + p_tool.run_timeout
      * (case p_tool.step_order when 'sequential' then greatest(p_steps, 1) else 1 end)
      * (case when p_provider.synchronous then p_tool.attempt_max else 1 end)
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.tool_settings(p_tool unstuck.tools)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select jsonb_build_object(
    'tool', p_tool.tool,
    'table', p_tool.table_name,
    'provider', p_tool.provider,
    'enabled', p_tool.enabled,
    'creditCost', p_tool.credit_cost,
    'pricedPer', p_tool.priced_per,
    'refundRule', p_tool.refund_rule,
    'startTimeoutSeconds', extract(epoch from p_tool.start_timeout)::bigint,
    'runTimeoutSeconds', extract(epoch from p_tool.run_timeout)::bigint,
    'queueTtlSeconds', extract(epoch from p_tool.queue_ttl)::bigint,
    'attemptMax', p_tool.attempt_max,
    'userCancelRunning', p_tool.user_cancel_running,
    'circuitOpenUntil', p_tool.circuit_open_until,
    'circuitReason', p_tool.circuit_reason,
    'providerCost', p_tool.provider_cost
  )
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.tool_times(p_provider text)
 RETURNS unstuck_private.tool_time[]
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
begin
  return (
    with done as (
      select
        -- A step that was claimed before migration 0003 does not name its tool.
        coalesce(
          s.line_tool,
          (
            select j.tool
            from unstuck.jobs j
            where j.id = s.job_id
          )
        ) as tool,
        least(s.claimed_at, s.started_at) as since,
        coalesce(s.provider_done_at, s.completed_at) as until,
        s.completed_at
      from unstuck.job_steps s
      where s.provider = p_provider
        and s.status = 'completed'
        and s.started_at is not null
      order by s.completed_at desc
      limit 100
    ),
    lately as (
      select d.*, row_number() over (partition by d.tool order by d.completed_at desc) as nth
      from done d
    ),
    mean as (
      select
        l.tool,
        avg(
          -- In whole seconds. A time that was written by hand may be infinite or wrong.
          round(
            greatest(
              least(extract(epoch from l.until) - extract(epoch from l.since), 2147483647),
              0
            )
          )
        ) as seconds
      from lately l
      where l.nth <= 20
      group by rollup (l.tool)
    )
    select array_agg(
      (t.tool, coalesce(m.seconds, a.seconds, 60))::unstuck_private.tool_time
    )
    from unstuck.tools t
    left join mean m on m.tool = t.tool
    left join mean a on a.tool is null
    where t.provider = p_provider
  );
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.trials_waiting(p_provider text, p_now timestamp with time zone)
 RETURNS integer
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select count(*)::int
  from unstuck.tools t
  where t.circuit_open_until <= p_now
    and exists (
      select from unstuck.job_steps s
      join unstuck.jobs j on j.id = s.job_id
      where s.provider = p_provider
        and s.status = 'queued'
        and s.turn_at <= p_now
        and s.line_tool = t.tool
        and unstuck_private.is_live(j.status)
        and j.quarantined_at is null
        and unstuck_private.is_in_time(s, p_now)
    )
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.truncate_unaudited()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  perform unstuck_private.unaudited_list_all();
  return null;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.turns_lock(p_provider text, p_now timestamp with time zone, p_without text[], p_tool text, p_limit integer)
 RETURNS SETOF unstuck_private.turn
 LANGUAGE plpgsql
 ROWS 5
 SET search_path TO ''
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
 SET enable_sort TO 'off'
 SET enable_bitmapscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
AS $function$
begin
  return query
  select s.job_id, s.step, s.line_user_id, 1::bigint, s.turn_at
  from unstuck.job_steps s
  join unstuck.jobs j on j.id = s.job_id
  where s.provider = p_provider
    and s.status = 'queued'
    and s.turn_at <= p_now
    and s.line_tool <> all (p_without)
    and (p_tool is null or s.line_tool = p_tool)
    and unstuck_private.is_live(j.status)
    and j.quarantined_at is null
    and unstuck_private.is_in_time(s, p_now)
  order by s.turn_at, s.job_id, s.step
  limit p_limit
  for update of j, s skip locked;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.unaudited_list_all()
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  insert into unstuck_private.unaudited (job_id)
  select j.id
  from unstuck.jobs j;

  insert into unstuck_private.unaudited (user_id)
  select a.user_id
  from unstuck.credit_accounts a
  union
  select e.user_id
  from unstuck.credit_entries e
  union
  select p.user_id
  from unstuck.purchases p
  where p.user_id is not null;

  -- The other entries are audited with their jobs.
  insert into unstuck_private.unaudited (user_id, entry_id)
  select e.user_id, e.id
  from unstuck.credit_entries e
  where e.kind in ('adjustment', 'refund')
    or e.kind = 'debit' and e.job_id is not null and not exists (
      select from unstuck.jobs j
      where j.id = e.job_id
    );

  insert into unstuck_private.unaudited (job_id, user_id)
  select f.job_id, f.user_id
  from unstuck.violations_found f
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.user_jobs_finalise(p_user_id uuid)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_live uuid[];
  v_id uuid;
begin
  v_live := array(
    select j.id
    from unstuck.jobs j
    where j.user_id = p_user_id and unstuck_private.is_live(j.status)
    order by j.id
  );
  if v_live = '{}' then
    return;
  end if;
  begin
    perform unstuck_private.jobs_finalise(
      v_live,
      array_fill('cancelled'::text, array[cardinality(v_live)]),
      array_fill('CANCELLED'::text, array[cardinality(v_live)]),
      array_fill('the user was erased.'::text, array[cardinality(v_live)])
    );
    return;
  exception when others then
    -- One row fails the statement: each job is cancelled alone below.
    null;
  end;
  foreach v_id in array v_live loop
    begin
      perform unstuck_private.jobs_finalise(
        array[v_id],
        array['cancelled'],
        array['CANCELLED'],
        array['the user was erased.']
      );
    exception when others then
      -- The caller deletes the row and its ledger all the same.
      null;
    end;
  end loop;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.user_jobs_strip(p_user_id uuid, p_kept uuid[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  update unstuck.jobs r
  set retry_of = null
  from unstuck.jobs j
  where j.user_id = p_user_id
    and r.retry_of = j.id
    and (r.user_id <> p_user_id or r.id = any (p_kept) or j.id = any (p_kept));
  update unstuck.job_steps s
  set
    status = case
      when unstuck_private.is_final(s.status) then s.status
      else 'cancelled'
    end,
    provider_cancel_due = case
      when unstuck_private.is_final(s.status) then s.provider_cancel_due
      else unstuck_private.cancel_debt_with(s)
    end,
    completed_at = coalesce(s.completed_at, clock_timestamp()),
    lease_until = null,
    share = 0,
    input = '{}',
    output = null,
    output_url = null,
    error_message = null
  where s.job_id = any (p_kept);
  update unstuck.jobs j
  set
    user_id = unstuck_private.erased_user(),
    session_id = null,
    status = case
      when unstuck_private.is_final(j.status) then j.status
      else 'cancelled'
    end,
    credits_charged = 0,
    credits_refunded = 0,
    exclusive_key = null,
    input = '{}',
    output = null,
    output_url = null,
    error_code = null,
    error_message = null,
    request_hash = 'erased',
    completed_at = coalesce(j.completed_at, clock_timestamp()),
    quarantined_at = null
  where j.id = any (p_kept);
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.user_leave_app(p_user_id uuid, p_job_ids uuid[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_refunds bigint;
  v_rows bigint;
begin
  perform unstuck_private.refunds_owed_pay(p_user_id, clock_timestamp() + interval '10 seconds');
  select coalesce(sum(o.amount), 0)
  into v_refunds
  from unstuck.refunds_owed o
  where o.job_id = any (p_job_ids);
  insert into unstuck_private.unprojected (job_id)
  select e.job_id
  from unstuck.projection_errors e
  where e.job_id = any (p_job_ids)
    and e.mended_at is null;
  set constraints unstuck_private.unprojected_project immediate;
  select count(*)
  into v_rows
  from unstuck.projection_errors e
  join unstuck.projections p on p.tool = e.tool and p.host_table = e.host_table and p.enabled
  where e.job_id = any (p_job_ids)
    and e.mended_at is null;
  if v_refunds > 0 or v_rows > 0 then
    perform unstuck_private.refuse(409, 'in_progress', jsonb_build_object(
      'refunds_owed', v_refunds, 'rows_owed', v_rows));
  end if;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.user_lock(p_user_id uuid)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_ids uuid[];
begin
  loop
    begin
      v_ids := array(
        select l.id
        from (
          select p.id
          from unstuck.purchases p
          where p.id in (select unstuck_private.purchases_naming(p_user_id))
          order by p.id
          for update
        ) l
      );
      perform unstuck_private.account_lock(p_user_id);
      if not exists (
        select
        from unstuck_private.purchases_naming(p_user_id) as n (id)
        where n.id <> all (v_ids)
      ) then
        return;
      end if;
      -- One was recorded meanwhile: this lets go of the account.
      raise sqlstate 'UN409';
    exception when sqlstate 'UN409' then
      null;
    end;
  end loop;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.user_purchases_strip(p_user_id uuid)
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  update unstuck.purchases p
  set
    user_id = unstuck_private.erased_user(),
    email = null,
    waits = false,
    facts = (
      select jsonb_agg(distinct f.value - array['userId', 'email'])
      from jsonb_array_elements(p.facts) f
    )
  where p.user_id = p_user_id
    or p.user_id is null
    and p.email = (select a.confirmed_email from unstuck_private.auth_user(p_user_id, null) a);

  -- Whose purchase another fact told.
  update unstuck.purchases p
  set facts = (
    select jsonb_agg(distinct case
      when f.value ->> 'userId' = p_user_id::text then f.value - array['userId', 'email']
      else f.value
    end)
    from jsonb_array_elements(p.facts) f
  )
  where p.facts @> jsonb_build_array(jsonb_build_object('userId', p_user_id));

  delete from unstuck.credit_debts d
  where d.user_id = p_user_id
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.user_rows_delete(p_user_id uuid, p_job_ids uuid[])
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_entries bigint;
begin
  delete from unstuck.job_events e
  where e.job_id = any (p_job_ids);
  delete from unstuck.webhook_inbox w
  where w.job_id = any (p_job_ids);
  delete from unstuck.job_steps s
  using unstuck.jobs j
  where j.id = s.job_id and j.user_id = p_user_id;
  delete from unstuck.jobs j
  where j.user_id = p_user_id;
  delete from unstuck.projection_errors e
  where e.job_id = any (p_job_ids);
  delete from unstuck.host_requests r
  where r.job_id = any (p_job_ids);
  delete from unstuck.messages_owed m
  where m.user_id = p_user_id;
  delete from unstuck.cancelled_requests c
  where c.user_id = p_user_id;
  delete from unstuck.sessions s
  where s.user_id = p_user_id;
  delete from unstuck_private.turns_owed o
  where o.user_id = p_user_id;
  delete from unstuck.user_roles r
  where r.user_id = p_user_id;
  delete from unstuck.credit_entries e
  where e.user_id = p_user_id;
  get diagnostics v_entries = row_count;
  delete from unstuck.credit_accounts a
  where a.user_id = p_user_id;
  return v_entries;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.user_summary(p_user_id uuid)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select jsonb_build_object(
    'userId', p_user_id,
    'email', unstuck_private.auth_email(p_user_id),
    'balance', unstuck_private.balance_shown(p_user_id, null),
    'debt', coalesce((
      select sum(d.amount - d.settled)
      from unstuck.credit_debts d
      where d.user_id = p_user_id and d.amount > d.settled
    ), 0),
    'liveJobs', (
      select count(*)
      from unstuck.jobs j
      where j.user_id = p_user_id and unstuck_private.is_live(j.status)
    ),
    'createdAt', (unstuck_private.auth_user(p_user_id, null)).created_at
  )
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.users_named(p_text text, p_limit integer)
 RETURNS TABLE(user_id uuid)
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
begin
  return query
  select u.id
  from auth.users u
  where lower(u.email) = lower(p_text);
  if not found and length(p_text) >= 3 then
    return query
    select u.id
    from auth.users u
    where starts_with(lower(u.email), lower(p_text))
    order by lower(u.email)
    limit p_limit;
  end if;
exception
  when invalid_schema_name or undefined_table or undefined_column or insufficient_privilege then
    return;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.violations()
 RETURNS TABLE(invariant text, subject text, detail text)
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
#variable_conflict use_column
declare
  v_jobs uuid[];
  v_users uuid[];
  v_entries bigint[];
begin
  select array_agg(distinct u.job_id) filter (where u.job_id is not null),
    array_agg(distinct u.user_id) filter (where u.user_id is not null),
    array_agg(u.entry_id) filter (where u.entry_id is not null)
  into v_jobs, v_users, v_entries
  from (
    select *
    from unstuck_private.unaudited n
    order by n.id desc
    limit 2000
  ) u;
  return query
  select f.invariant, f.subject, f.detail
  from unstuck.violations_found f
  where not exists (select from unnest(v_jobs) as n (id) where n.id = f.job_id)
    and not exists (select from unnest(v_users) as n (id) where n.id = f.user_id)
  order by f.found_at;
  return query
  select o.invariant, o.subject, o.detail
  from unstuck_private.violations_of_each(v_jobs, v_users, v_entries) o;
  return query
  select o.invariant, o.subject, o.detail
  from unstuck_private.violations_now() o;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.violations_now()
 RETURNS TABLE(invariant text, subject text, detail text)
 LANGUAGE sql
 STABLE
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
  with since as (
    select clock_timestamp() as now, clock_timestamp() - interval '4 minutes' as at
  ), provider as materialized (
    select p.provider, p.enabled, p.max_concurrent, p.limit_changed_at, p.circuit_open_until,
      p.circuit_closed_at, l.live, unstuck_private.slot_limit(p, n.at) as slots
    from unstuck.providers p
    cross join since n
    cross join lateral (
      select count(*) as live
      from unstuck.job_steps s
      where s.provider = p.provider and unstuck_private.holds_slot(s)
    ) l
  ), freed as materialized (
    select s.provider, count(*) as slots
    from unstuck.job_steps s
    where coalesce(s.provider_done_at, s.completed_at) > (select since.at from since)
      and coalesce(s.claimed_at, s.sent_at, s.started_at) is not null
    group by s.provider
  ), idle as materialized (
    select p.provider, p.circuit_closed_at
    from provider p
    left join freed f on f.provider = p.provider
    where p.enabled
      and p.circuit_open_until is null
      and p.slots > p.live + coalesce(f.slots, 0)
  )
  select 'slots_within_limit', p.provider, format('%s live, limit %s', c.live, p.max_concurrent)
  from provider p
  cross join lateral (
    select count(*) as live
    from unstuck.job_steps s
    join unstuck.jobs j on j.id = s.job_id
    where s.provider = p.provider
      and unstuck_private.holds_slot(s)
      -- Rows that others wrote hold a slot without a claim.
      and coalesce(s.claimed_at, s.sent_at, s.started_at, j.created_at) > p.limit_changed_at
  ) c
  where p.live > p.max_concurrent and c.live > p.max_concurrent
  union all
  select 'work_waits_for_a_reason', s.job_id::text,
    format('step %s waits while %s has a free slot', s.step, s.provider)
  from idle i
  cross join since n
  join unstuck.job_steps s on s.provider = i.provider and s.status = 'queued'
  join unstuck.jobs j on j.id = s.job_id
  join unstuck.tools t on t.tool = j.tool and t.circuit_open_until is null
  -- Four minutes count from the moment when nothing was in the way of the step.
  where greatest(
      coalesce(j.queued_at, j.created_at), s.not_before, i.circuit_closed_at, t.circuit_closed_at
    ) < n.at
    and unstuck_private.is_live(j.status)
    and j.quarantined_at is null
    -- The queue TTL is paused while another step of the job works.
    and (
      s.deadline_at > n.now
      or exists (
        select from unstuck.job_steps w
        where w.job_id = s.job_id and w.status in ('starting', 'running')
      )
    )
    and not exists (
      select from unstuck.job_events e
      where e.job_id = s.job_id
        and e.step = s.step
        and e.to_status = 'queued'
        and e.at >= n.at
    )
  union all
  select *
  from unstuck_private.violations_of_owed()
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.violations_of(p_jobs uuid[], p_users uuid[], p_entries bigint[])
 RETURNS TABLE(invariant text, subject text, detail text, job_id uuid, user_id uuid, entry_id bigint)
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
begin
  return query
  select j.invariant, j.job_id::text, j.detail, j.job_id, null::uuid, null::bigint
  from unstuck_private.violations_of_jobs(p_jobs) j
  union all
  select e.invariant, e.entry_id::text, e.detail, null, e.user_id, e.entry_id
  from unstuck_private.violations_of_entries(p_jobs, p_users, p_entries) e
  union all
  select b.invariant, b.user_id::text, b.detail, null, b.user_id, null
  from unstuck_private.violations_of_balances(p_users) b
  union all
  select p.invariant, p.purchase_id::text, p.detail, null, p.user_id, null
  from unstuck_private.violations_of_purchases(p_users) p;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.violations_of_balances(p_users uuid[])
 RETURNS TABLE(invariant text, user_id uuid, detail text)
 LANGUAGE sql
 STABLE
AS $function$
  select 'balance_equals_entries', n.id,
    case when a.user_id is null
      then format('no account, entries %s', t.total)
      else format('balance %s, entries %s', a.balance, t.total)
    end
  from unnest(p_users) as n (id)
  left join unstuck.credit_accounts a on a.user_id = n.id
  cross join lateral (
    select count(*) as entries, coalesce(sum(e.amount), 0) as total
    from unstuck.credit_entries e
    where e.user_id = n.id
  ) t
  where case when a.user_id is null then t.entries > 0 else a.balance <> t.total end
    and not unstuck_private.has_adapter()
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.violations_of_each(p_jobs uuid[], p_users uuid[], p_entries bigint[])
 RETURNS TABLE(invariant text, subject text, detail text, job_id uuid, user_id uuid, entry_id bigint)
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
#variable_conflict use_column
declare
  v_id uuid;
begin
  begin
    return query
    select *
    from unstuck_private.violations_of(p_jobs, p_users, p_entries);
    return;
  exception when others then
    null;
  end;
  foreach v_id in array coalesce(p_jobs, '{}') loop
    begin
      return query
      select *
      from unstuck_private.violations_of(array[v_id], '{}', '{}');
    exception when others then
      return query
      select 'row_can_be_audited', v_id::text, sqlerrm, v_id, null::uuid, null::bigint;
    end;
  end loop;
  foreach v_id in array coalesce(p_users, '{}') loop
    begin
      return query
      select *
      from unstuck_private.violations_of(
        '{}',
        array[v_id],
        array(
          select e.id
          from unstuck.credit_entries e
          where e.user_id = v_id and e.id = any (p_entries)
        )
      );
    exception when others then
      return query
      select 'row_can_be_audited', v_id::text, sqlerrm, null::uuid, v_id, null::bigint;
    end;
  end loop;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.violations_of_entries(p_jobs uuid[], p_users uuid[], p_entries bigint[])
 RETURNS TABLE(invariant text, entry_id bigint, user_id uuid, detail text)
 LANGUAGE sql
 STABLE
AS $function$
  with entry as materialized (
    select *
    from unstuck_private.audited_entries(p_jobs, p_users, p_entries)
  ), adjustment as (
    select e.id, e.user_id, e.amount, e.at
    from entry e
    where e.kind = 'adjustment' and e.amount > 0
    union
    select a.id, a.user_id, a.amount, least(greatest(a.created_at, '1000-01-01'), '9000-01-01')
    from entry e
    join unstuck.credit_entries a on a.user_id = e.user_id and a.kind = 'adjustment'
    where e.kind = 'refund'
      and a.amount > 0
      and a.created_at between e.at - interval '1 hour' and e.at + interval '1 hour'
  )
  select 'entry_without_job', e.id, e.user_id,
    format('%s of %s for job %s', e.kind, e.amount, e.job_id)
  from entry e
  where (e.kind = 'refund' or e.kind = 'debit' and e.job_id is not null)
    and not exists (select from unstuck.jobs j where j.id = e.job_id)
    and not exists (
      select from unstuck_private.removals r
      where r.user_id = e.user_id and r.jobs_removed_at >= e.at
    )
  union all
  -- Of any amount: older code refunds the whole price where only a share was due. An adjustment
  -- that takes it back settles it by name, because older code also takes for reasons of its own.
  select 'adjustment_beside_refund', a.id, a.user_id,
    format('adjustment of %s near the refund of job %s', a.amount, r.job_id)
  from adjustment a
  cross join lateral (
    select c.job_id
    from unstuck.credit_entries c
    where c.user_id = a.user_id
      and c.kind = 'refund'
      and c.created_at between a.at - interval '1 hour' and a.at + interval '1 hour'
    order by c.id desc
    limit 1
  ) r
  where not exists (
    select from unstuck.credit_entries x
    where x.user_id = a.user_id
      and x.kind = 'adjustment'
      and x.amount = -a.amount
      and x.reason = 'settles ' || a.id
  )
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.violations_of_jobs(p_jobs uuid[])
 RETURNS TABLE(invariant text, job_id uuid, detail text)
 LANGUAGE sql
 STABLE
AS $function$
  with job as materialized (
    select *
    from unstuck_private.audited_jobs(p_jobs)
  )
  select 'steps_final_iff_job_final', j.id,
    format('job is %s with %s of %s steps live', j.status, j.live_steps, j.steps)
  from job j
  where j.steps > 0
    and (
      j.is_final and j.live_steps > 0
      or not j.is_final and j.live_steps = 0 and j.quarantined_at is null
    )
  union all
  select 'cancelled_request_never_runs', j.id,
    format('job is %s, its user cancelled it at %s', j.status, c.at)
  from job j
  join unstuck.cancelled_requests c on c.user_id = j.user_id and c.job_id = j.id
  where j.status in ('queued', 'starting', 'running')
  union all
  select 'refunds_within_debit', j.id, format('refunded %s of %s', j.refunded, j.debit)
  from job j
  where j.refunded > j.debit and not j.is_settled
  union all
  select 'job_money_equals_ledger', j.id,
    format('row: %s charged, %s refunded; ledger: %s, %s',
      j.credits_charged, j.credits_refunded, j.debit, j.refunded)
  from job j
  where (j.credits_charged <> j.debit or j.credits_refunded <> j.refunded)
    and not j.has_no_ledger
    and not j.is_settled
  union all
  select 'final_refund_exact', j.id,
    format('%s with %s refunded of %s', j.status, j.refunded, j.debit)
  from job j
  -- Of a settled job, only credits that could not be refunded are a violation.
  where (j.quarantined_at is null or j.is_settled and j.refunded < j.debit)
    and not j.has_no_ledger
    and case
      -- Shares in rows of others may not add up: finalising such a job computes them anew.
      when j.is_per_step and j.delivered_share + j.undelivered_share <> j.debit then false
      when j.status = 'completed' then
        j.refunded + j.owed <> case when j.is_per_step then j.undelivered_share else 0 end
      when j.is_final then
        j.refunded + j.owed <> j.debit
          - case when j.is_per_step and j.debit > 0 then j.delivered_share else 0 end
      else false
    end
  union all
  select 'quarantined', j.id, format('live %s, quarantined at %s', j.status, j.quarantined_at)
  from job j
  where j.quarantined_at is not null and not j.is_final
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.violations_of_owed()
 RETURNS TABLE(invariant text, subject text, detail text)
 LANGUAGE sql
 STABLE
AS $function$
  select 'refund_owed', o.job_id::text,
    format('%s owed since %s, tried %s times: %s', o.amount, o.at, o.tries, o.error)
  from unstuck.refunds_owed o
  where o.at < clock_timestamp() - interval '1 hour'
  union all
  select 'projection_owed', e.host_table::text,
    format('%s jobs are not written since %s: %s', count(*), min(e.at), max(e.error))
  from unstuck.projection_errors e
  where e.mended_at is null
    and e.at < clock_timestamp() - interval '1 hour'
  group by e.host_table
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.violations_of_purchases(p_users uuid[])
 RETURNS TABLE(invariant text, purchase_id uuid, user_id uuid, detail text)
 LANGUAGE sql
 STABLE
AS $function$
  select 'purchase_equals_entries', p.id, p.user_id,
    format('due %s, given %s', d.granted - d.taken, g.given)
  from unnest(p_users) as n (id)
  join unstuck.purchases p on p.user_id = n.id
  cross join lateral unstuck_private.purchase_due(p.facts) d
  cross join lateral unstuck_private.purchase_given(p.ids, null) as g (given)
  where not p.waits
    and p.user_id <> unstuck_private.erased_user()
    and d.granted - d.taken <> g.given
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.visible_costs()
 RETURNS TABLE(tool text, provider_cost numeric, attempts bigint, cost numeric)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select t.tool, t.provider_cost, coalesce(sum(d.attempts), 0)::bigint, coalesce(sum(d.cost), 0)
  from unstuck.tools t
  left join unstuck_private.costs_by_day d
    on d.tool = t.tool
    and d.day >= (clock_timestamp() at time zone 'UTC')::date - 61
  where (select unstuck_private.may_see(null))
  group by t.tool
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.visible_errors()
 RETURNS TABLE(provider text, error_code text, failures bigint, last_at timestamp with time zone, last_job_id uuid, last_message text)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
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
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.visible_hours()
 RETURNS TABLE(hour timestamp with time zone, ordered integer, completed integer, failed integer, cancelled integer, credits_charged bigint, credits_refunded bigint)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  with recent as (
    select date_trunc('hour', clock_timestamp()) - interval '23 hours' as since,
      date_trunc('hour', clock_timestamp()) + interval '1 hour' as until
  ), ordered as (
    select date_trunc('hour', j.created_at) as hour,
      count(*)::int as jobs,
      sum(j.credits_charged) as charged
    from unstuck.jobs j, recent r
    where j.created_at >= r.since and j.created_at < r.until
    group by 1
  ), ended as (
    select date_trunc('hour', j.completed_at) as hour,
      count(*) filter (where j.status = 'completed')::int as completed,
      count(*) filter (where j.status = 'failed')::int as failed,
      count(*) filter (where j.status = 'cancelled')::int as cancelled,
      sum(j.credits_refunded) as refunded
    from unstuck.jobs j, recent r
    -- A row is last updated when it ends or later, so the index by update finds what ended.
    where j.updated_at >= r.since and j.completed_at >= r.since and j.completed_at < r.until
    group by 1
  )
  select h.hour, coalesce(o.jobs, 0), coalesce(e.completed, 0), coalesce(e.failed, 0),
    coalesce(e.cancelled, 0),
    unstuck_private.clamp_to_bigint(coalesce(o.charged, 0)),
    unstuck_private.clamp_to_bigint(coalesce(e.refunded, 0))
  from recent r
  cross join lateral generate_series(
    r.since, r.since + interval '23 hours', interval '1 hour'
  ) h (hour)
  left join ordered o using (hour)
  left join ended e using (hour)
  where (select unstuck_private.may_see(null))
  order by h.hour
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.visible_load()
 RETURNS TABLE(provider text, enabled boolean, max_concurrent integer, running integer, waiting integer, oldest_waiting_seconds integer, circuit_open_until timestamp with time zone, circuit_reason text, circuits_of_tools text[], learned_limit integer, balance jsonb, balance_at timestamp with time zone, balance_least jsonb)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select p.provider, p.enabled, p.max_concurrent, r.steps, w.steps,
    unstuck_private.seconds_between(w.since, clock_timestamp()),
    p.circuit_open_until,
    p.circuit_reason,
    array(
      select t.tool
      from unstuck.tools t
      where t.provider = p.provider and t.circuit_open_until is not null
      order by t.tool
    ),
    p.learned_limit,
    b.amounts,
    b.told_at,
    p.balance_least
  from unstuck.providers p
  left join unstuck_private.provider_balances b using (provider)
  cross join lateral (
    select count(*)::int as steps
    from unstuck.job_steps s
    where s.provider = p.provider and unstuck_private.holds_slot(s)
  ) r
  cross join lateral (
    select count(*)::int as steps,
      min(coalesce(j.queued_at, j.created_at)) as since
    from unstuck.job_steps s
    join unstuck.jobs j on j.id = s.job_id
    where s.provider = p.provider and s.status = 'queued'
  ) w
  where (select unstuck_private.may_see(null))
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.visible_money()
 RETURNS TABLE(day date, kind text, tool text, entries bigint, credits bigint)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select
    (e.created_at at time zone 'UTC')::date,
    e.kind,
    j.tool,
    count(*),
    unstuck_private.clamp_to_bigint(sum(e.amount))
  from unstuck.credit_entries e
  left join unstuck.jobs j on j.id = e.job_id
  where (select unstuck_private.may_see(null))
    and e.created_at >= date_trunc('day', clock_timestamp(), 'UTC') - interval '61 days'
  group by 1, 2, 3
  order by 1 desc, 2, 3
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.visible_outcomes()
 RETURNS TABLE(provider text, tool text, completed bigint, failed bigint, p50_seconds double precision, p95_seconds double precision)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  with ended as (
    select
      s.provider,
      j.tool,
      s.status,
      extract(epoch from
        coalesce(s.provider_done_at, s.completed_at) - coalesce(s.sent_at, s.started_at)
      )::double precision as seconds
    from unstuck.job_steps s
    join unstuck.jobs j on j.id = s.job_id
    where (select unstuck_private.may_see(null))
      and s.status in ('completed', 'failed')
      -- The expression of the index `job_steps_freed`.
      and coalesce(s.provider_done_at, s.completed_at) > clock_timestamp() - interval '1 day'
  )
  select
    e.provider,
    e.tool,
    count(*) filter (where e.status = 'completed'),
    count(*) filter (where e.status = 'failed'),
    percentile_cont(0.5) within group (order by e.seconds) filter (where e.status = 'completed'),
    percentile_cont(0.95) within group (order by e.seconds) filter (where e.status = 'completed')
  from ended e
  group by grouping sets ((e.provider), (e.provider, e.tool))
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.visible_positions()
 RETURNS TABLE(job_id uuid, provider text, "position" integer, eta_seconds integer)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select q.job_id, p.provider, q."position", q.eta_seconds
  from unstuck.providers p
  cross join lateral unstuck_private.provider_positions(p.provider) q
  where (select unstuck_private.may_see(null))
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.visible_violations()
 RETURNS TABLE(invariant text, subject text, detail text)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  if unstuck_private.may_see(null) then
    return query
    select o.invariant, o.subject, o.detail
    from unstuck_private.violations() o;
  end if;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.waiting_credits_give(p_user_id uuid)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_email text;
  v_id uuid;
begin
  if not exists (select from unstuck.credit_accounts a where a.user_id = p_user_id) then
    perform unstuck_private.account_lock(p_user_id);
  end if;
  if not exists (select from unstuck.purchases p where p.waits) then
    return;
  end if;
  v_email := (unstuck_private.auth_user(p_user_id, null)).confirmed_email;
  if not exists (
    select from unstuck.purchases p
    where p.waits and (p.user_id = p_user_id or p.email = v_email)
  ) then
    return;
  end if;
  perform unstuck_private.account_lock(p_user_id);
  for v_id in
    select p.id
    from unstuck.purchases p
    where p.waits and (p.user_id = p_user_id or p.email = v_email)
    order by p.id
    for update skip locked
  loop
    begin
      perform unstuck_private.purchase_settle(v_id);
    exception when others then
      raise warning 'the purchase % cannot be given: %', v_id, sqlerrm;
    end;
  end loop;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.waits_for_capacity(p_job unstuck.jobs)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
begin
  return (
    select p_job.status = 'queued'
      and exists (
        select from unstuck.job_steps s
        join unstuck.providers p using (provider)
        where s.job_id = p_job.id
          and s.status = 'queued'
          and (
            s.error_code = 'PROVIDER_BUSY'
            or p.learned_limit <= (
              select count(*)
              from unstuck.job_steps l
              where l.provider = p.provider
                and unstuck_private.holds_slot(l)
            )
          )
      )
  );
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.wallet_attach(p_adapter text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_other text;
  v_users bigint;
  v_jobs bigint;
begin
  -- From here on nobody orders and no healer refunds until the adapter is in.
  lock table unstuck.credit_accounts in exclusive mode;
  select i.adapter
  into v_other
  from unstuck_private.installed i;
  if v_other = p_adapter then
    return;
  end if;
  if v_other is not null then
    raise exception 'the adapter % holds the balances', v_other
    using hint = 'Detach it first.';
  end if;
  select count(*)
  into v_users
  from unstuck.credit_accounts a
  where a.balance <> 0;
  if v_users > 0 then
    raise exception '% users have credits in the built-in wallet', v_users
    using hint = 'Give them to the app''s own wallet, and take them from ours by adjustments.';
  end if;
  select count(*)
  into v_jobs
  from unstuck.jobs j
  where unstuck_private.is_live(j.status)
    and j.credits_charged > 0;
  if v_jobs > 0 then
    raise exception '% jobs live that were paid from the built-in wallet', v_jobs
    using hint = 'Wait until they have ended, or cancel them.';
  end if;
  insert into unstuck_private.installed (adapter)
  values (p_adapter);
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.wallet_debit(p_user_id uuid, p_tool text, p_amount bigint, p_job_id uuid, p_reason text, OUT taken bigint, OUT receipt jsonb)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  update unstuck.credit_accounts a
  set balance = a.balance - p_amount
  where a.user_id = p_user_id
    and a.balance >= p_amount;
  if not found then
    perform unstuck_private.refuse_over_balance(p_user_id, p_tool, p_amount);
  end if;
  taken := p_amount;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.wallet_detach()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_jobs bigint;
  v_owed bigint;
begin
  lock table unstuck.credit_accounts in exclusive mode;
  if not unstuck_private.has_adapter() then
    return;
  end if;
  select count(*)
  into v_jobs
  from unstuck.jobs j
  where unstuck_private.is_live(j.status)
    and j.credits_charged > 0;
  select count(*)
  into v_owed
  from unstuck.refunds_owed;
  if v_jobs > 0 or v_owed > 0 then
    raise exception '% jobs live that the app''s wallet paid for, % refunds are owed',
      v_jobs, v_owed
    using hint = 'Switch the tools off and wait: update unstuck.tools set enabled = false;';
  end if;
  delete from unstuck_private.installed;
  insert into unstuck.credit_entries (user_id, kind, amount, balance_after, reason)
  select e.user_id, case when sum(e.amount) < 0 then 'grant' else 'adjustment' end,
    -sum(e.amount), 0, 'the app keeps its wallet'
  from unstuck.credit_entries e
  group by e.user_id
  having sum(e.amount) <> 0;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.wallet_grant(p_user_id uuid, p_amount bigint, p_kind text, p_reason text, OUT balance bigint, OUT receipt jsonb)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
#variable_conflict use_column
begin
  update unstuck.credit_accounts a
  set balance = a.balance + p_amount
  where a.user_id = p_user_id
  returning a.balance
  into wallet_grant.balance;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.wallet_hold(p_user_id uuid, p_tool text)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  return coalesce(
    (select max(w.balance) from unstuck_private.wallet_lock(p_user_id, p_tool, true) w), 0);
exception
  when lock_not_available or deadlock_detected then
    raise;
  when others then
    raise warning 'the wallet of % cannot be locked: %', p_user_id, sqlerrm;
    return 0;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.wallet_lock(p_user_id uuid, p_tool text, p_wait boolean)
 RETURNS TABLE(balance bigint, unlimited boolean)
 LANGUAGE sql
 STABLE
AS $function$
  select a.balance, false
  from unstuck.credit_accounts a
  where a.user_id = p_user_id
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.wallet_price(p_user_id uuid, p_tool text, p_input jsonb, p_price bigint)
 RETURNS bigint
 LANGUAGE sql
AS $function$
  select p_price
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.wallet_refund(p_user_id uuid, p_amount bigint, p_job_id uuid, p_reason text, p_receipt jsonb, OUT given bigint)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  update unstuck.credit_accounts a
  set balance = a.balance + p_amount
  where a.user_id = p_user_id;
  given := p_amount;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.wallet_take(p_user_id uuid, p_amount bigint, p_kind text, p_reason text, p_receipt jsonb, OUT taken bigint)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  select least(a.balance, p_amount)
  into taken
  from unstuck.credit_accounts a
  where a.user_id = p_user_id;
  update unstuck.credit_accounts a
  set balance = a.balance - taken
  where a.user_id = p_user_id;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.wallets_try_lock(p_users uuid[])
 RETURNS uuid[]
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  v_user uuid;
  v_users uuid[] := '{}';
begin
  foreach v_user in array p_users loop
    begin
      perform
      from unstuck_private.wallet_lock(v_user, null, false);
      continue when not found;
    exception
      when lock_not_available or deadlock_detected then
        continue;
      when others then
        raise warning 'the wallet of % cannot be locked: %', v_user, sqlerrm;
    end;
    v_users := v_users || v_user;
  end loop;
  return v_users;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.watched(p_now timestamp with time zone)
 RETURNS TABLE(subject text, code text, is_bad boolean, words text)
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select v.subject, v.subject, v.counted is distinct from 0,
    case
      when v.counted is null then v.unknown
      when v.counted = 0 then v.good
      else format(v.bad, v.counted)
    end
  from unstuck_private.sweep_newest() s
  cross join lateral (
    values
      (
        'stuck',
        s.stuck,
        'Stuck jobs could not be counted.',
        'No job is stuck.',
        '%s jobs are past the deadline of every healer.'
      ),
      (
        'invariants',
        s.violations,
        'The invariants could not be checked.',
        'All invariants hold.',
        '%s invariants are violated.'
      )
  ) as v (subject, counted, unknown, good, bad)
  union all
  select 'settings', 'settings_disagree', count(*) > 0,
    case count(*)
      when 0 then 'All functions have the same settings.'
      else format('Not the same in all functions: %s.', string_agg(d.name, ', ' order by d.name))
    end
  from unstuck_private.settings_differing d
  union all
  select *
  from unstuck_private.watched_healers(p_now)
  union all
  select *
  from unstuck_private.watched_providers(p_now)
  union all
  select *
  from unstuck_private.watched_balances()
  union all
  select *
  from unstuck_private.watched_receiver(p_now)
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.watched_balances()
 RETURNS TABLE(subject text, code text, is_bad boolean, words text)
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select 'provider:' || p.provider || ':balance', 'provider_balance_low', l.units is not null,
    case
      when l.units is null then format('%s: enough is left on our account.', p.provider)
      else format('%s: our account runs low: %s.', p.provider, l.units)
    end
  from unstuck.providers p
  join unstuck_private.provider_balances b using (provider)
  cross join lateral (
    select string_agg(
      format('%s %s, less than %s', b.amounts ->> u.unit, u.unit, u.least),
      '; '
      order by u.unit
    ) as units
    from jsonb_each_text(p.balance_least) as u (unit, least)
    where unstuck_private.number_or_null(b.amounts ->> u.unit)
      < unstuck_private.number_or_null(u.least)
  ) l
  where p.balance_least <> '{}'
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.watched_healers(p_now timestamp with time zone)
 RETURNS TABLE(subject text, code text, is_bad boolean, words text)
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select 'healer:' || m.healer, 'healer_stopped', h.is_bad,
    case m.healer
      when 'edge' then 'The sweep of the Workers: '
      when 'sql' then 'The sweep of pg_cron: '
      else 'The consumers of the queues: '
    end
    || case
      when not h.is_bad then 'at work.'
      when m.seen_at is null then 'never seen.'
      else format(
        'last seen %s ago.',
        unstuck_private.minutes_text(unstuck_private.minutes_between(m.seen_at, p_now)))
    end
  from unstuck_private.healer_marks m
  cross join lateral (
    select case m.healer
      when 'queues' then coalesce(m.asked_at < p_now - interval '10 minutes', false)
      else coalesce(m.seen_at < p_now - interval '150 seconds', true)
        and (m.healer = 'edge' or unstuck_private.is_sql_scheduled())
    end as is_bad
  ) h
  where m.healer in ('edge', 'sql', 'queues')
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.watched_providers(p_now timestamp with time zone)
 RETURNS TABLE(subject text, code text, is_bad boolean, words text)
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select 'provider:' || f.provider || v.subject, v.code, v.is_bad, v.words
  from unstuck_private.provider_failures(p_now) f
  cross join lateral (
    values
      (
        ':failures',
        'provider_failing',
        f.is_bad,
        format('%s: %s of %s steps failed within 15 minutes.', f.provider, f.failed, f.ended)
      ),
      (
        ':webhooks',
        'webhook_overdue',
        f.is_webhook_overdue,
        case
          when f.is_webhook_overdue then format(
            '%s: %s steps ended within 15 minutes, and no webhook came%s.',
            f.provider,
            f.ended,
            case
              when f.webhook_at is null then ''
              else ' for ' || unstuck_private.minutes_text(
                unstuck_private.minutes_between(f.webhook_at, p_now))
            end)
          else format('%s: no webhook is overdue.', f.provider)
        end
      )
  ) as v (subject, code, is_bad, words)
  union all
  select 'provider:' || p.provider || ':alarm', 'provider_alarm', a.code is not null,
    case
      when a.code is null then format('%s: nothing was refused that only you can mend.', p.provider)
      else format('%s refused what only you can mend: %s', p.provider, a.code)
    end
  from unstuck.providers p
  left join lateral (
    select x.code
    from unstuck.provider_alarms x
    where x.provider = p.provider
      and x.at > p_now - interval '75 minutes'
      and x.last_at > p_now - interval '15 minutes'
    order by x.last_at desc
    limit 1
  ) a on true
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.watched_receiver(p_now timestamp with time zone)
 RETURNS TABLE(subject text, code text, is_bad boolean, words text)
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select 'receiver', 'receiver_away', w.owed > 0,
    case
      when w.owed = 0 then 'Your receiver takes the ends of jobs.'
      else format('Your receiver has not taken the ends of %s jobs for an hour.', w.owed)
    end
  from (
    select count(*) as owed
    from (
      select
      from unstuck.messages_owed m
      where m.kind = 'job_end'
        and m.sent_at is null
        and m.given_up_at is null
        and m.created_at <= p_now - interval '1 hour'
      limit 1000
    ) o
  ) w
  where unstuck_private.is_receiver_there()
  union all
  select 'receiver:given_up', 'ends_given_up', w.lost > 0,
    case
      when w.lost = 0 then 'The end of no job was given up within an hour.'
      else format(
        'The ends of %s jobs were given up: your receiver did not take them for a day.', w.lost)
    end
  from (
    select count(*) as lost
    from (
      select
      from unstuck.messages_owed m
      where m.kind = 'job_end'
        and m.sent_at is null
        and m.given_up_at > p_now - interval '1 hour'
        and m.created_at > p_now - interval '2 days'
      limit 1000
    ) o
  ) w
  where unstuck_private.is_receiver_there()
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.webhooks_apply(p_job_id uuid, p_step integer, p_run bigint)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  update unstuck.webhook_inbox w
  set applied_at = clock_timestamp()
  where w.job_id = p_job_id
    and w.step = p_step
    and w.run <= p_run
    and w.applied_at is null;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.webhooks_of_earlier_runs(p_provider text, p_now timestamp with time zone, p_limit integer)
 RETURNS TABLE(job_id uuid, step integer, run bigint, task_id text)
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
#variable_conflict use_column
begin
  return query
  select i.job_id, i.step, i.run, i.task_id
  from unstuck.webhook_inbox i
  join unstuck.job_steps s on s.job_id = i.job_id and s.step = i.step
  where i.provider = p_provider
    and i.applied_at is null
    and i.task_id is not null
    and i.received_at <= p_now - interval '30 seconds'
    and s.status in ('queued', 'starting', 'running')
    and s.provider_done_at is null
    and (i.run < s.run or s.status = 'queued')
  order by i.received_at
  limit p_limit;
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.website_fail(p_job unstuck.jobs, p_step unstuck.job_steps)
 RETURNS TABLE(job_status text, refunded bigint)
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  select f.job_status, f.refunded
  from unstuck_private.step_fail(
    p_job, p_step.step, 'TIMEOUT', format('no result after %s attempts.', p_step.attempts)) f
$function$
;
CREATE OR REPLACE FUNCTION unstuck_private.website_requeue(p_job unstuck.jobs, p_step unstuck.job_steps, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  update unstuck.jobs
  set retries = retries + 1
  where id = p_job.id;
  update unstuck.job_steps s
  set status = 'queued',
    input = p_job.input || s.input,
    lease_until = null,
    claimed_at = null,
    sent_at = null,
    started_at = null,
    not_before = null,
    checked_at = null,
    deadline_at = least(p_now + t.queue_ttl, p_job.expires_at)
  from unstuck.tools t
  where s.job_id = p_job.id
    and s.step = p_step.step
    and t.tool = p_job.tool;
  perform unstuck_private.job_sync_from_steps(array[p_job.id]);
  insert into unstuck.job_events (job_id, step, run, event, from_status, to_status, actor, detail)
  values (
    p_job.id, p_step.step, p_step.run, 'website_retried', 'running', 'queued',
    nullif(current_setting('unstuck.actor', true), ''),
    jsonb_build_object('retry', p_job.retries + 1));
end $function$
;
CREATE OR REPLACE FUNCTION unstuck_private.website_reserve_or_fail(p_job_id uuid, p_step integer)
 RETURNS TABLE(tool text, run bigint, retries integer, action text, refunded bigint)
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
#variable_conflict use_column
declare
  v_job unstuck.jobs;
  v_step unstuck.job_steps;
  v_now timestamptz := clock_timestamp();
begin
  select *
  into v_job
  from unstuck.jobs
  where id = p_job_id;
  select *
  into v_step
  from unstuck.job_steps s
  where s.job_id = p_job_id
    and s.step = p_step;
  if v_job.quarantined_at is not null
    or not unstuck_private.is_stale_attempt(v_step, v_now)
    or unstuck_private.is_reserved_attempt(v_step, v_now)
  then
    return;
  end if;
  if unstuck_private.has_ledger_mismatch(v_job) then
    perform unstuck_private.jobs_quarantine(
      array[p_job_id], 'credits_refunded does not agree with the ledger');
    return;
  end if;
  if v_job.expires_at <= v_now
    or (
      select greatest(v_step.attempts, v_job.retries + 1) >= t.attempt_max
      from unstuck.tools t
      where t.tool = v_job.tool
    )
  then
    return query
    select v_job.tool, v_step.run, v_job.retries, 'failed', f.refunded
    from unstuck_private.website_fail(v_job, v_step) f;
    return;
  end if;
  update unstuck.job_steps s
  set checked_at = v_now
  where s.job_id = p_job_id
    and s.step = p_step;
  return query
  select v_job.tool, v_step.run, v_job.retries, 'retry', 0::bigint;
end $function$
;

-- triggers
CREATE TRIGGER admin_log_append_only BEFORE DELETE OR UPDATE ON unstuck.admin_log FOR EACH ROW EXECUTE FUNCTION unstuck_private.append_only();
CREATE TRIGGER admin_log_never_emptied BEFORE TRUNCATE ON unstuck.admin_log FOR EACH STATEMENT EXECUTE FUNCTION unstuck_private.append_only();
CREATE TRIGGER cancelled_requests_unaudited_delete AFTER DELETE ON unstuck.cancelled_requests REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION unstuck_private.cancelled_requests_unaudited();
CREATE TRIGGER cancelled_requests_unaudited_insert AFTER INSERT ON unstuck.cancelled_requests REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION unstuck_private.cancelled_requests_unaudited();
CREATE TRIGGER credit_accounts_truncated AFTER TRUNCATE ON unstuck.credit_accounts FOR EACH STATEMENT EXECUTE FUNCTION unstuck_private.truncate_unaudited();
CREATE TRIGGER credit_accounts_unaudited_delete AFTER DELETE ON unstuck.credit_accounts REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION unstuck_private.credit_accounts_unaudited();
CREATE TRIGGER credit_accounts_unaudited_insert AFTER INSERT ON unstuck.credit_accounts REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION unstuck_private.credit_accounts_unaudited();
CREATE TRIGGER credit_accounts_unaudited_update AFTER UPDATE ON unstuck.credit_accounts REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION unstuck_private.credit_accounts_unaudited();
CREATE TRIGGER credit_entries_append_only BEFORE UPDATE ON unstuck.credit_entries FOR EACH ROW EXECUTE FUNCTION unstuck_private.append_only();
CREATE TRIGGER credit_entries_before_insert BEFORE INSERT ON unstuck.credit_entries FOR EACH ROW EXECUTE FUNCTION unstuck_private.credit_entries_before_insert();
CREATE TRIGGER credit_entries_settle AFTER INSERT ON unstuck.credit_entries FOR EACH ROW WHEN (new.kind = ANY (ARRAY['grant'::text, 'purchase'::text, 'bonus'::text, 'goodwill'::text])) EXECUTE FUNCTION unstuck_private.credit_entries_settle();
CREATE TRIGGER credit_entries_truncated AFTER TRUNCATE ON unstuck.credit_entries FOR EACH STATEMENT EXECUTE FUNCTION unstuck_private.truncate_unaudited();
CREATE TRIGGER credit_entries_unaudited_delete AFTER DELETE ON unstuck.credit_entries REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION unstuck_private.credit_entries_unaudited();
CREATE TRIGGER credit_entries_unaudited_insert AFTER INSERT ON unstuck.credit_entries REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION unstuck_private.credit_entries_unaudited();
CREATE TRIGGER credit_entries_whole AFTER DELETE ON unstuck.credit_entries REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION unstuck_private.credit_entries_after_delete();
CREATE TRIGGER legacy_job_write INSTEAD OF INSERT OR DELETE OR UPDATE ON unstuck.generation_history FOR EACH ROW EXECUTE FUNCTION unstuck_private.legacy_write_refuse();
CREATE TRIGGER legacy_job_write INSTEAD OF INSERT OR DELETE OR UPDATE ON unstuck.generation_jobs FOR EACH ROW EXECUTE FUNCTION unstuck_private.legacy_write_refuse();
CREATE TRIGGER legacy_job_write INSTEAD OF INSERT OR DELETE OR UPDATE ON unstuck.generation_tasks FOR EACH ROW EXECUTE FUNCTION unstuck_private.legacy_write_refuse();
CREATE TRIGGER job_steps_before_insert BEFORE INSERT ON unstuck.job_steps FOR EACH ROW EXECUTE FUNCTION unstuck_private.job_steps_before_insert();
CREATE TRIGGER job_steps_before_update BEFORE UPDATE ON unstuck.job_steps FOR EACH ROW EXECUTE FUNCTION unstuck_private.job_steps_before_update();
CREATE TRIGGER job_steps_log AFTER UPDATE ON unstuck.job_steps REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION unstuck_private.job_steps_log();
CREATE TRIGGER job_steps_truncated AFTER TRUNCATE ON unstuck.job_steps FOR EACH STATEMENT EXECUTE FUNCTION unstuck_private.truncate_unaudited();
CREATE TRIGGER job_steps_unaudited_delete AFTER DELETE ON unstuck.job_steps REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION unstuck_private.job_steps_unaudited();
CREATE TRIGGER job_steps_unaudited_insert AFTER INSERT ON unstuck.job_steps REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION unstuck_private.job_steps_unaudited();
CREATE TRIGGER job_steps_unaudited_update AFTER UPDATE ON unstuck.job_steps REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION unstuck_private.job_steps_unaudited();
CREATE TRIGGER job_steps_unprojected AFTER UPDATE ON unstuck.job_steps REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION unstuck_private.job_steps_unprojected();
CREATE TRIGGER pass_turn_claimed AFTER UPDATE ON unstuck.job_steps FOR EACH ROW WHEN (old.status = 'queued'::text AND new.status <> 'queued'::text AND old.turn_at IS NOT NULL) EXECUTE FUNCTION unstuck_private.pass_turn();
CREATE TRIGGER pass_turn_deleted AFTER DELETE ON unstuck.job_steps FOR EACH ROW WHEN (old.status = 'queued'::text AND old.turn_at IS NOT NULL) EXECUTE FUNCTION unstuck_private.pass_turn();
CREATE TRIGGER swap_turn AFTER UPDATE ON unstuck.job_steps FOR EACH ROW WHEN (new.status = 'queued'::text AND old.status <> 'queued'::text AND new.turn_at IS NULL AND COALESCE(new.not_before <= clock_timestamp(), true)) EXECUTE FUNCTION unstuck_private.swap_turn();
CREATE TRIGGER jobs_before_insert BEFORE INSERT ON unstuck.jobs FOR EACH ROW EXECUTE FUNCTION unstuck_private.jobs_before_insert();
CREATE TRIGGER jobs_before_update BEFORE UPDATE ON unstuck.jobs FOR EACH ROW EXECUTE FUNCTION unstuck_private.jobs_before_update();
CREATE TRIGGER jobs_log_insert AFTER INSERT ON unstuck.jobs REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION unstuck_private.jobs_log();
CREATE TRIGGER jobs_log_update AFTER UPDATE ON unstuck.jobs REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION unstuck_private.jobs_log();
CREATE TRIGGER jobs_tell_ends AFTER UPDATE ON unstuck.jobs REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION unstuck_private.ends_owe();
CREATE TRIGGER jobs_truncated AFTER TRUNCATE ON unstuck.jobs FOR EACH STATEMENT EXECUTE FUNCTION unstuck_private.truncate_unaudited();
CREATE TRIGGER jobs_unaudited_delete AFTER DELETE ON unstuck.jobs REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION unstuck_private.jobs_unaudited();
CREATE TRIGGER jobs_unaudited_insert AFTER INSERT ON unstuck.jobs REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION unstuck_private.jobs_unaudited();
CREATE TRIGGER jobs_unaudited_update AFTER UPDATE ON unstuck.jobs REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION unstuck_private.jobs_unaudited();
CREATE TRIGGER jobs_unprojected_insert AFTER INSERT ON unstuck.jobs REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION unstuck_private.jobs_unprojected();
CREATE TRIGGER jobs_unprojected_update AFTER UPDATE ON unstuck.jobs REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION unstuck_private.jobs_unprojected();
CREATE TRIGGER line_move AFTER UPDATE OF queued_at, created_at ON unstuck.jobs FOR EACH ROW WHEN (COALESCE(new.queued_at, new.created_at) <> COALESCE(old.queued_at, old.created_at) AND isfinite(COALESCE(new.queued_at, new.created_at)) AND isfinite(COALESCE(old.queued_at, old.created_at))) EXECUTE FUNCTION unstuck_private.line_move();
CREATE TRIGGER legacy_job_delete INSTEAD OF DELETE ON unstuck.pose_changer_jobs FOR EACH ROW EXECUTE FUNCTION unstuck_private.legacy_write_refuse();
CREATE TRIGGER legacy_job_insert INSTEAD OF INSERT ON unstuck.pose_changer_jobs FOR EACH ROW EXECUTE FUNCTION unstuck_private.legacy_job_insert();
CREATE TRIGGER legacy_job_update INSTEAD OF UPDATE ON unstuck.pose_changer_jobs FOR EACH ROW EXECUTE FUNCTION unstuck_private.legacy_job_update();
CREATE TRIGGER providers_before_update BEFORE UPDATE ON unstuck.providers FOR EACH ROW EXECUTE FUNCTION unstuck_private.providers_before_update();
CREATE TRIGGER providers_circuit_closed BEFORE UPDATE ON unstuck.providers FOR EACH ROW WHEN (old.circuit_open_until IS NOT NULL AND new.circuit_open_until IS NULL) EXECUTE FUNCTION unstuck_private.circuit_before_update();
CREATE TRIGGER providers_settings_log AFTER UPDATE OF enabled, max_concurrent, balance_least ON unstuck.providers FOR EACH ROW EXECUTE FUNCTION unstuck_private.settings_log('provider_changed', 'provider', 'enabled', 'max_concurrent', 'balance_least');
CREATE TRIGGER purchases_before_insert BEFORE INSERT ON unstuck.purchases FOR EACH ROW EXECUTE FUNCTION unstuck_private.purchases_before_insert();
CREATE TRIGGER purchases_unaudited_insert AFTER INSERT ON unstuck.purchases REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION unstuck_private.purchases_unaudited();
CREATE TRIGGER purchases_unaudited_update AFTER UPDATE ON unstuck.purchases REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION unstuck_private.purchases_unaudited();
CREATE TRIGGER legacy_job_write INSTEAD OF INSERT OR DELETE OR UPDATE ON unstuck.replicate_tasks FOR EACH ROW EXECUTE FUNCTION unstuck_private.legacy_write_refuse();
CREATE TRIGGER sessions_before_insert BEFORE INSERT ON unstuck.sessions FOR EACH ROW EXECUTE FUNCTION unstuck_private.sessions_before_insert();
CREATE TRIGGER tool_prices_log AFTER INSERT OR DELETE OR UPDATE ON unstuck.tool_prices FOR EACH ROW EXECUTE FUNCTION unstuck_private.price_log('position', 'matches', 'credits', 'priced_per', 'quantity', 'note', 'credits_min');
CREATE TRIGGER circuit_owes_turns AFTER UPDATE OF circuit_open_until ON unstuck.tools FOR EACH ROW WHEN (old.circuit_open_until IS NULL AND new.circuit_open_until IS NOT NULL) EXECUTE FUNCTION unstuck_private.circuit_owes_turns();
CREATE TRIGGER tools_circuit_closed BEFORE UPDATE ON unstuck.tools FOR EACH ROW WHEN (old.circuit_open_until IS NOT NULL AND new.circuit_open_until IS NULL) EXECUTE FUNCTION unstuck_private.circuit_before_update();
CREATE TRIGGER tools_price_log AFTER UPDATE ON unstuck.tools FOR EACH ROW WHEN (old.credit_cost <> new.credit_cost OR old.priced_per <> new.priced_per) EXECUTE FUNCTION unstuck_private.price_log('credit_cost', 'priced_per');
CREATE TRIGGER tools_settings_log AFTER UPDATE OF enabled, run_timeout, queue_ttl, attempt_max, user_cancel_running, provider_cost ON unstuck.tools FOR EACH ROW EXECUTE FUNCTION unstuck_private.settings_log('tool_changed', 'tool', 'enabled', 'run_timeout', 'queue_ttl', 'attempt_max', 'user_cancel_running', 'provider_cost');
CREATE TRIGGER legacy_job_delete INSTEAD OF DELETE ON unstuck.upscaler_jobs FOR EACH ROW EXECUTE FUNCTION unstuck_private.legacy_write_refuse();
CREATE TRIGGER legacy_job_insert INSTEAD OF INSERT ON unstuck.upscaler_jobs FOR EACH ROW EXECUTE FUNCTION unstuck_private.legacy_job_insert();
CREATE TRIGGER legacy_job_update INSTEAD OF UPDATE ON unstuck.upscaler_jobs FOR EACH ROW EXECUTE FUNCTION unstuck_private.legacy_job_update();
CREATE TRIGGER legacy_job_delete INSTEAD OF DELETE ON unstuck.veste_ai_jobs FOR EACH ROW EXECUTE FUNCTION unstuck_private.legacy_write_refuse();
CREATE TRIGGER legacy_job_insert INSTEAD OF INSERT ON unstuck.veste_ai_jobs FOR EACH ROW EXECUTE FUNCTION unstuck_private.legacy_job_insert();
CREATE TRIGGER legacy_job_update INSTEAD OF UPDATE ON unstuck.veste_ai_jobs FOR EACH ROW EXECUTE FUNCTION unstuck_private.legacy_job_update();
CREATE TRIGGER legacy_job_delete INSTEAD OF DELETE ON unstuck.video_upscaler_jobs FOR EACH ROW EXECUTE FUNCTION unstuck_private.legacy_write_refuse();
CREATE TRIGGER legacy_job_insert INSTEAD OF INSERT ON unstuck.video_upscaler_jobs FOR EACH ROW EXECUTE FUNCTION unstuck_private.legacy_job_insert();
CREATE TRIGGER legacy_job_update INSTEAD OF UPDATE ON unstuck.video_upscaler_jobs FOR EACH ROW EXECUTE FUNCTION unstuck_private.legacy_job_update();
CREATE CONSTRAINT TRIGGER unprojected_project AFTER INSERT ON unstuck_private.unprojected DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION unstuck_private.project();

-- comments
comment on function public.cleanup_all_stale_ai_jobs() is
'Unstuck front of unstuck.cleanup_all_stale_ai_jobs.';
comment on function public.consume_upscaler_credits(uuid,bigint,text) is
'Unstuck front of unstuck.consume_upscaler_credits.';
comment on function public.credit_grant_v1(uuid,bigint,text,text) is
'Unstuck front of unstuck.credit_grant_v1.';
comment on function public.has_role(uuid,unstuck.app_role) is
'Unstuck front of unstuck.has_role.';
comment on function public.refund_upscaler_credits(uuid,bigint,text) is
'Unstuck front of unstuck.refund_upscaler_credits.';
comment on function unstuck.admin_log_read_v1(uuid,bigint,text,text,integer) is
'
Caller: admin-settings. The role of p_actor is read in the same transaction.

Effect: none. The newest rows of admin_log before p_before, of one subject or of one act.

Refuses: forbidden.

Replay: reads again.
';
comment on function unstuck.alerts_due_v1(integer,integer,integer,integer) is
'
Caller: each scheduled function after its work, and the gateway when health is asked, where a
receiver of alerts is set.

Effect: owes a message for whatever turned bad, or good again, since the receiver was told, and
returns the messages that are due, each to one caller for a minute. In quiet hours (UTC, from and to
a full hour) messages wait for their end; what stays bad is told every p_repeat_minutes, or once.

Refuses: nothing.

Replay: what was returned a minute ago and is not reported by message_sent_v1 is returned once more.
';
comment on function unstuck.cleanup_all_stale_ai_jobs() is
'
Caller: pg_cron every minute, and an operator.

Effect: the healer that needs no edge. It finalises every live job that ran out of time, of all
tools, with its refund. A step that was sent to an asynchronous provider waits 3 minutes past its
deadline for an edge healer, which can query the provider. It waits for no lock, no job stops the
others, and a failed report undoes no healing. Always seven rows, one per table.

Refuses: nothing.

Replay: zeros.
';
comment on function unstuck.consume_upscaler_credits(uuid,bigint,text) is
'
Caller: older back-end code, as the service.

Effect: takes the amount from the user''s balance by an adjustment that belongs to no job.

Refuses: by success = false and error_message: an amount that is not positive, a balance that is too
low.

Replay: takes the amount once more; the function has no idempotency key.
';
comment on function unstuck.credit_grant_admin_v1(uuid,uuid,bigint,text,text) is
'
Caller: admin-users. The role of p_actor is read in the same transaction.

Effect: gives the user credits as goodwill, with a reason, and writes admin_log; creates the account
where there is none. An open debt is settled with them. balance: after that.

Refuses: forbidden, bad_request (no user, key or reason; an amount not within 1 and 10^12),
idempotency_conflict (the key belongs to another entry).

Replay: the same key with the same user and amount changes nothing: replayed = true.
';
comment on function unstuck.credit_grant_v1(uuid,bigint,text,text) is
'
Caller: the purchase code of the app, as the service.

Effect: gives the user credits by a grant, and creates the account where there is none. An open debt
is settled with them. balance: after that.

Refuses: bad_request (no user, no key, an amount that is not within 1 and 10^12),
idempotency_conflict (the key belongs to another grant).

Replay: the same key with the same user and amount changes nothing: replayed = true.
';
comment on function unstuck.deployment_alarm_v1() is
'
Caller: a Worker whose call was refused as wrong_deployment.

Effect: counts the refusals of its deployment in one row, which health shows for ten minutes. It is
the one RPC that writes for another deployment.

Refuses: nothing; where the Worker''s deployment is the database''s own, it writes nothing.

Replay: counts once more.
';
comment on function unstuck.doctor_v1() is
'
Caller: `cargo xtask doctor`, with the service key.

Effect: none; what a deployment''s database can tell of what it lacks: storage, admins, migrations,
the newest events, the last sweep, open circuits, what is sold.

Refuses: nothing.

Replay: reads again.
';
comment on function unstuck.ends_due_v1(integer) is
'
Caller: each scheduled function after its work, where the app has a receiver of the ends of its
jobs. From the first call on, each end is owed to it.

Effect: gives up what nobody took for a day, and returns the messages that are due, the oldest
first, each to one caller for a minute.

Refuses: nothing.

Replay: what was returned a minute ago and is not reported by message_sent_v1 is returned once more.
';
comment on function unstuck.event_seen_v1(text,text) is
'
Caller: every function, when its cron fires, and when its queue brings a probe: of the doctor, or of
a sweep that sweep_end_v1 asked for it.

Effect: the time of the newest such event is now. An event of a queue shows in health.

Refuses: the Worker of another deployment, and an event that is none of `events_seen`.

Replay: the same once more.
';
comment on function unstuck.files_choose_v1(text,text,jsonb,uuid) is
'
Caller: cleanup-stale-generations, with a page of a bucket''s files (p_objects: name and created_at
of each; p_bucket: uploads | results).

Effect: none. names: at most 100 of them to delete now; due: how many are to be deleted in all. Of a
user with a live job none is deleted now. uploads and results: files of a job of ours, under
`<user id>/<job id>/`, that are older than their kind is kept; where abandoned_uploads are not kept
for ever, uploads under such a name that no job of ours has, too. erased: files of the erased user
p_user_id, those that a live job holds counted as due; what the user uploaded, or ordered, since
then is kept.

Refuses: nothing.

Replay: reads again.
';
comment on function unstuck.files_deleted_v1(text,integer,integer,uuid,text,text) is
'
Caller: cleanup-stale-generations, after it deleted files of one kind.

Effect: records how many went and the last error, and where the walk goes on (p_cursor). Of an
erased user it records how many files are left, as far as they were listed; with an error, never
that none is.

Refuses: nothing.

Replay: counts the deleted files twice.
';
comment on function unstuck.files_due_v1() is
'
Caller: cleanup-stale-generations, before it deletes files through the Storage API.

Effect: none; where to look for files in this pass. kind: uploads | results (files that are older
than their kind of `retention` is kept; from cursor on) | erased (all files of user_id, in both
buckets).

Refuses: nothing.

Replay: reads again.
';
comment on function unstuck.generation_get_v1(uuid,text,uuid) is
'
Caller: the GET of the website functions, for the verified user.

Effect: like job_get_v1, with retries and, once the website is completed, the address of its files.

Refuses: not_found.

Replay: reads again.
';
comment on function unstuck.generation_put_back_v1(uuid,bigint) is
'
Caller: cleanup-stale-generations, when its call of the tool''s function failed.

Effect: undoes the reservation, so that the next cleanup tries again at once. No row where another
attempt has begun.

Refuses: nothing.

Replay: changes nothing.
';
comment on function unstuck.generation_retry_v1(uuid,text,uuid) is
'
Caller: the website functions, for retryHistoryId. p_user_id null: the service calls, for the user
of the record.

Effect: puts a stale attempt back into the queue, free of charge, with retries + 1. outcome: retried
| closed (no attempt or no time left: the job failed and was refunded).

Refuses: not_found (also a job of another user or tool), already_final, in_progress (also a
quarantined job).

Replay: in_progress.
';
comment on function unstuck.generations_stale_v1(integer) is
'
Caller: cleanup-stale-generations.

Effect: goes through websites whose attempt stopped, up to p_limit. action: retry (reserved for 45 s
for the caller, which calls the function of its tool) | failed (no attempt or no time left: failed
and refunded here). What another transaction has locked is left to the next call; a job on which
this fails is quarantined. remaining: stale websites beyond p_limit.

Refuses: nothing.

Replay: a reserved website does not come again for 45 s.
';
comment on function unstuck.has_role(uuid,unstuck.app_role) is
'
Caller: policies, the admin functions, and apps that check a role.

Effect: none. True when the user holds the role now. The host''s own has_role decides where the host
has one, else unstuck.user_roles.

Refuses: nothing.

Replay: reads again.
';
comment on function unstuck.health_v1() is
'
Caller: the gateway of the release before, for /health.

Effect: none; what the last finished pass of a healer stored. It never scans. Nulls where there was
none, or where that pass could not count. wrong_deployment: the caller is of another deployment than
the database, or a Worker of another one was refused in the last ten minutes.

Refuses: nothing.

Replay: reads again.
';
comment on function unstuck.health_v2() is
'
Caller: the gateway, for /health.

Effect: none; what the last finished pass of a healer stored, when each healer was seen, and what is
bad, in words. It never scans. Nulls where there was none, or where that pass could not count.
wrong_deployment: the caller is of another deployment than the database, or a Worker of another one
was refused in the last ten minutes.

Refuses: nothing.

Replay: reads again.
';
comment on function unstuck.job_cancel_admin_v1(uuid,text,uuid,text) is
'
Caller: admin-cancel-job. The role of p_actor is read in the same transaction.

Effect: cancels a live job of any tool, also a quarantined one, and refunds what the ledger shows as
taken and not yet refunded, whatever the row says. If the account takes no refund, the job is
cancelled without one. The message says what was refunded; the event admin_cancelled has the sums
before and after, and why a refund failed. It is a row of admin_log.

Refuses: forbidden, bad_request, not_found, already_final (with status and refundedCredits).

Replay: already_final; nothing is refunded twice.
';
comment on function unstuck.job_cancel_v1(uuid,text,uuid) is
'
Caller: the cancel operation of runninghub-queue-manager, for the verified user.

Effect: cancels the user''s own waiting job (a running one where the tool allows it) and refunds it.
An orphan that a sweep cancelled counts as cancelled by its user from then on, and no `/run` takes
it back.

Refuses: bad_request, not_found, in_progress (also a quarantined job, and one whose refund does not
fit into a bigint, which the next sweep quarantines), already_final.

Replay: already_final, with what was refunded.
';
comment on function unstuck.job_cancel_v2(uuid,uuid) is
'
Caller: the function `jobs`, for the verified user.

Effect: that of job_cancel_v1, for a job of any tool.

Refuses: not_found, in_progress, already_final, as job_cancel_v1 does.

Replay: already_final, with what was refunded.
';
comment on function unstuck.job_cancel_v3(uuid,uuid) is
'
Caller: the function `jobs`, for the verified user.

Effect: that of job_cancel_v1, for a job of any tool. Answers with the job as job_show_v1 does.

Refuses: not_found, in_progress, already_final, as job_cancel_v1 does.

Replay: already_final, with what was refunded.
';
comment on function unstuck.job_enqueue_v1(uuid,uuid,text,text,jsonb,text,jsonb) is
'
Caller: Workers of the version before `job_enqueue_v2`, which does the work.

Effect: takes the price and writes the job with its steps, in one transaction. It adopts an unpaid
row of the same id that an older client inserted.

Refuses: bad_request, idempotency_conflict (the id belongs to another order), already_final (also:
the user cancelled the order before it arrived), tool_disabled, active_job_exists,
insufficient_credits, queue_full. A refusal leaves nothing behind.

Replay: the same id, user, tool and hash get the job''s present state and no charge: replayed = true.
';
comment on function unstuck.job_enqueue_v2(uuid,uuid,text,text,jsonb,text,jsonb,boolean,bigint,jsonb,boolean) is
'
Caller: the function that creates the tool''s jobs, for the verified user.

Effect: takes the price and writes the job with its steps, in one transaction. It adopts an unpaid
row of the same id that an older client inserted. With p_claim the first step is claimed at once
where a slot is free and nobody waits for it; claimed: that step, as `step_claim_v1` returns it. The
other columns show the job as it was ordered.

With p_can_measure an order whose price is by seconds or megapixels of its files, which p_measured
does not say, is not written: unmeasured names the unit, and the caller repeats the order with what
it measured. What could not be measured costs the rule''s largest. A Worker of the version before,
which says neither, is charged the rule''s credits_min, or the largest where it has none.

Refuses: bad_request, idempotency_conflict (the id belongs to another order), already_final (also:
the user cancelled the order before it arrived), tool_disabled, active_job_exists, price_changed
(dearer than p_max_credits), insufficient_credits, queue_full. A refusal leaves nothing behind.

Replay: the same id, user, tool and hash get the job''s present state and no charge: replayed = true,
whatever the price is now.
claimed: the step with a new run, while no worker has sent it.
';
comment on function unstuck.job_get_v1(uuid,uuid,text,text) is
'
Caller: the status endpoints, for the verified user (p_user_id null: for the service), one tool
(p_tool null: any) and one table (p_table null: any).

Effect: heals the user''s jobs when this one is past its deadline, then answers with the job''s
present state; while it waits for a provider that refuses more, error_code is PROVIDER_BUSY. tasks:
the parallel steps, each with its output once the owner may see it.

Refuses: bad_request (no tool has the table); not_found, also for a job of another user, tool or
table.

Replay: reads again.
';
comment on function unstuck.job_requeue_v1(uuid,text,uuid,boolean,uuid,text) is
'
Caller: admin-retry-job. The role of p_actor is read in the same transaction.

Effect: a live job past its lease or deadline goes back to the queue with fresh counters: retried =
true. A final one becomes a new job, p_new_job_id, of the same user with the same input, free of
charge unless p_charge: retry_of names the old one. It is a row of admin_log.

Refuses: forbidden, bad_request, not_found, in_progress (also a quarantined job: cancel it first),
already_final (its input is kept no longer), active_job_exists, insufficient_credits,
idempotency_conflict (the new id is taken).

Replay: the same new id answers with its job; so does any other, while a retry is live.
';
comment on function unstuck.job_show_v1(uuid,uuid) is
'
Caller: the function `jobs`, and an order by way of it, for the verified user.

Effect: heals the user''s jobs when this one is past its deadline, then answers with the job in the
vocabulary that all tools have in common.

Refuses: not_found, also for a job of another user.

Replay: reads again.
';
comment on function unstuck.jobs_cancel_many_v1(uuid,jsonb,integer,text) is
'
Caller: admin-cancel-job, for many jobs. The role of p_actor is read in the same transaction.

Effect: cancels and refunds up to p_limit of the jobs that p_filter names, oldest first, for six
seconds at most, and writes one row of admin_log. matched: all that the filter names; done: those
that were cancelled; refused: those that were not, each with a code. It waits for no lock: a job
that is held is refused as in_progress. What is left over is in neither list. With p_limit 0 it
counts.

Refuses: forbidden, bad_request (no filter, no reason, a limit beyond 1,000).

Replay: cancels further ones.
';
comment on function unstuck.jobs_list_v1(uuid,text,text,integer) is
'
Caller: the function `jobs`, for the verified user.

Effect: heals the user''s jobs that ran out of time, then answers with a page of the user''s jobs, the
newest first, at most 100. next: the p_cursor of the page after it; null on the last one. p_status:
only jobs of this status, in the vocabulary that all tools have in common.

Refuses: bad_request (no such status; a cursor that is none of ours).

Replay: reads again.
';
comment on function unstuck.jobs_requeue_many_v1(uuid,jsonb,integer,text) is
'
Caller: admin-retry-job, for many jobs. The role of p_actor is read in the same transaction.

Effect: retries up to p_limit of the jobs that p_filter names, as job_requeue_v1 does and free of
charge, for six seconds at most, and writes one row of admin_log. Without ids or a status the failed
jobs are meant that nobody retried yet. matched: all that the filter names; jobs: each retried job
with the job that now works; refused: those that were not, each with a code. It waits for no lock: a
job that is held is refused as in_progress. What is left over is in neither list. With p_limit 0 it
counts.

Refuses: forbidden, bad_request (no filter, no reason, a limit beyond 1,000).

Replay: retries further ones; of one that it retried, the live retry is named once more.
';
comment on function unstuck.jobs_sweep_v1(bigint,integer) is
'
Caller: cleanup-stale-jobs, in its pass.

Effect: finalises, or requeues, every job that ran out of time and needs no query to a provider, up
to p_limit jobs and for six seconds. It waits for no lock. A job that cannot be healed is
quarantined. remaining: due, but locked by others or beyond the limit (looking one page ahead).

Refuses: nothing.

Replay: nothing left to do.
';
comment on function unstuck.message_sent_v1(uuid,boolean,integer) is
'
Caller: whoever sent a message that alerts_due_v1 or ends_due_v1 returned.

Effect: a message that its receiver took is sent. Any other is due once more, later after each try,
an alert after five minutes at most, the end of a job after an hour; p_delay_ms is what the receiver
asks for.

Refuses: nothing.

Replay: a message that is sent stays so.
';
comment on function unstuck.metrics_v1() is
'
Caller: the gateway, for /metrics.

Effect: none; the counters that the sweeps keep, and what is so now. It scans no job that has ended.

Refuses: nothing.

Replay: reads again.
';
comment on function unstuck.order_quote_v1(text,jsonb,integer,uuid,jsonb) is
'
Caller: the function that creates the tool''s jobs, for its quote; p_user_id is the verified user, or
null for nobody: then balance and enough are null, and an app''s own wallet is not asked.

Effect: none; what `job_enqueue_v2` would charge for this order now, and in how many seconds its job
would start. unmeasured: the price is by this unit of the order''s files, which p_measured does not
say, and is the largest; lowest: that of the smallest files. enough: the order would be taken, which
none is while a debt is open. waits: credits wait for the user, which `user_heal_v1` gives; the
balance is without them.

Refuses: bad_request, tool_disabled; what the app''s wallet refuses.

Replay: reads again.
';
comment on function unstuck.prices_change_v1(uuid,jsonb,text) is
'
Caller: admin-settings. The role of p_actor is read in the same transaction.

Effect: changes the rule of `tool` and `position` in p_change, or adds it: matches, credits,
pricedPer, quantity, creditsMin, note; remove: true deletes it. A trigger writes admin_log. What was
ordered keeps its price. Returns all rules as they now are; without p_change it only reads.

Refuses: forbidden, not_found (a rule to remove), bad_request (no reason; a rule that the table
refuses).

Replay: changes nothing; a rule that is removed already is not_found.
';
comment on function unstuck.provider_alarm_v1(text,text,text,text,text) is
'
Caller: a worker that met a fault which only the operator can mend.

Effect: counts equal alarms of an hour in one row of provider_alarms. A fault of a submit or a call
says what it is about: the third of `account` or `place` without an accepted step between them opens
the provider''s circuit, the third of `app` the tool''s. While a circuit is open, steps wait, and one
step a minute is let through. Null: the alarm counts towards no circuit.

Refuses: bad_request (no such provider, no code).

Replay: counts once more.
';
comment on function unstuck.provider_balance_v1(text,jsonb) is
'
Caller: an edge healer that asked the provider, where sweep_end_v1 said ask_balances.

Effect: keeps what is left on our account, an amount by unit, for the admin page and metrics.

Refuses: nothing; an unknown provider changes nothing.

Replay: keeps the same.
';
comment on function unstuck.providers_change_v1(uuid,jsonb,text) is
'
Caller: admin-settings. The role of p_actor is read in the same transaction.

Effect: changes the settings of a provider that p_change names beside `provider` (enabled,
maxConcurrent, balanceLeast; closeCircuit: true), and writes what changed to admin_log. What works
at the provider goes on. Returns all providers as they now are; without p_change it only reads.

Refuses: forbidden, not_found, bad_request (a value that the table refuses).

Replay: changes nothing.
';
comment on function unstuck.purchase_checkout_v1(uuid,text) is
'
Caller: purchase-checkout, for the verified user.

Effect: none. What the pack gives now, the seller''s price of it, and the user''s confirmed e-mail
address, if there is one that can be read.

Refuses: not_found (no such pack, or a disabled one).

Replay: reads again.
';
comment on function unstuck.purchase_record_v1(text,jsonb) is
'
Caller: purchase-webhook, for an authentic event of p_seller.

Effect: records what one event tells of a payment, and gives or takes back the difference between
what is due of all that was told so far and what was given: purchase entries, chargebacks, and a
debt of what is no longer there. p_fact: `keys`, every name by which the event knows the payment,
and whatever else it tells: `paid`, `userId`, `email`, `pack`, `priceIds`, `credits` (in all),
`quantity`, `quantities` (by price), `share`, `amount`, `refundTotal`, `refunds`, `refundedShare`,
`disputes`. Facts that share a key are of one payment, also where a third one shows it. The end is
the same in whatever order facts come, while no pack changes. Without a user who is known it is
kept, and given at that user''s first order, quote or balance. granted, taken: now. user_id: whose it
is, as far as it is known. reason: why the payment gives nothing, `waits_for_user` or `unknown_pack`
(no pack of ours was paid).

Refuses: bad_request (a malformed fact, more than 10^12 credits).

Replay: changes nothing: replayed = true.
';
comment on function unstuck.queue_check_v1(text) is
'
Caller: the check and status endpoints.

Effect: none; one row for a known provider: its limit, how many slots are taken, how many jobs wait.
slots_available: by what the provider takes, where it refused more for capacity.
enabled: false also while an open circuit of the provider lets no step through.

Refuses: nothing; no row where there is no such provider.

Replay: reads again.
';
comment on function unstuck.refund_upscaler_credits(uuid,bigint,text) is
'
Caller: older back-end code, as the service.

Effect: gives the amount to the user by an adjustment that belongs to no job. An adjustment within
an hour of a job''s own refund shows in invariant_violations.

Refuses: by success = false and error_message: an amount that is not positive or over 10^12.

Replay: gives the amount once more; the function has no idempotency key.
';
comment on function unstuck.session_cancel_v1(uuid,text,uuid[]) is
'
Caller: cancel-session, for the verified user.

Effect: cancels the user''s own waiting jobs of that session and those that p_job_ids names, and
refunds them. A named job that has not arrived yet is refused when it does. A job that cannot be
finalised is quarantined and stops none of the others. One row per cancelled job.

Refuses: bad_request (also more than 100 ids), rate_limited (1,000 orders that were cancelled before
they arrived are kept per user, a day each).

Replay: no rows.
';
comment on function unstuck.session_leave_v1(uuid,text,integer) is
'
Caller: leave-session, for the verified user.

Effect: the user''s waiting jobs of that session, also those that arrive until then, are cancelled by
the next healer after cancel_at, as session_cancel_v1 does, unless session_stay_v1 comes first.

Refuses: bad_request (a grace outside of 0 to 300 seconds), rate_limited (1,000 sessions are kept
per user, a day each).

Replay: the grace begins anew.
';
comment on function unstuck.session_stay_v1(uuid,text) is
'
Caller: stay, for the verified user: on load, and every minute while something waits.

Effect: takes back what session_leave_v1 announced, unless a healer was first. From now on the
session counts as left once it was silent for 150 seconds (cancel_at).

Refuses: bad_request, rate_limited, as session_leave_v1 does.

Replay: the silence begins anew.
';
comment on function unstuck.settings_compared_v1(text[]) is
'
Caller: the gateway, which compares the fingerprints of all functions'' settings.

Effect: keeps the names of those with more than one value, for health and alerts.

Refuses: nothing.

Replay: keeps the same.
';
comment on function unstuck.step_cancelled_v1(uuid,integer,text) is
'
Caller: the edge, after it cancelled a task at the provider.

Effect: takes the task out of the step''s cancel debt. remaining: how many cancels the step still
owes.

Refuses: nothing; no row where there is no such step.

Replay: changes nothing.
';
comment on function unstuck.step_checked_v1(uuid,integer,bigint,text) is
'
Caller: a healer, after it queried the provider about a step (p_answer: running | no_answer).

Effect: records when the provider was queried. Past the step''s deadline it fails the step and
refunds: at once for running, after one grace for no_answer; the provider is then owed a cancel.
outcome: waiting (also where another transaction holds the job) | failed | stale (not the present
run, or the provider is done).

Refuses: bad_request for another answer.

Replay: stale once the step has failed.
';
comment on function unstuck.step_claim_v1(text,integer) is
'
Caller: a worker, before it submits steps of a provider.

Effect: claims up to p_limit waiting steps in queue order while slots are free. Each gets a new run
and a lease. The reply has each step''s request, the output of the step before, and how long the step
may run. While the circuit of the provider or of a tool is open, one step of it is claimed a minute.
Where the provider refused steps for capacity, there are as many slots as it took, and from time to
time one step more is claimed as a probe.

Refuses: nothing; no row where no step may start.

Replay: claims the next steps.
';
comment on function unstuck.step_complete_v1(uuid,integer,bigint,jsonb,text) is
'
Caller: Workers of the version before `step_complete_v2`, which does the work.

Effect: completes the step. The last step completes the job; any other lets the next step of a chain
queue. At a synchronous provider it closes the circuits of provider and tool. outcome: completed |
late (the step is final) | stale (not the present run, or not running).

Refuses: nothing.

Replay: late.
';
comment on function unstuck.step_complete_v2(uuid,integer,bigint,jsonb,text) is
'
Caller: a worker, after it stored the step''s result.

Effect: completes the step and marks its webhooks as applied. The last step completes the job; any
other lets the next step of a chain queue. At a synchronous provider it closes the circuits of
provider and tool. outcome: completed | late (the step is final) | stale (not the present run, or
not running). may_start: how many waiting steps a claim would take now.

Refuses: nothing.

Replay: late.
';
comment on function unstuck.step_done_v1(uuid,integer,bigint,text,jsonb) is
'
Caller: Workers of the version before `step_done_v2`, which does the work.

Effect: frees the slot and gives the caller the lease under which it copies the result. outcome:
copy (run: the run to go on with; result: which file is the result, as the stored request says) |
late (the step is final: the success is recorded, and nothing else changes) | stale (not this run''s
task, or another worker copies the result). A task of another step changes nothing.

Refuses: nothing.

Replay: stale while the lease lasts; afterwards copy, for the next worker.
';
comment on function unstuck.step_done_v2(uuid,integer,bigint,text,jsonb) is
'
Caller: a worker or a healer that learned from the provider that the task finished.

Effect: frees the slot and gives the caller the lease under which it copies the result. outcome:
copy (run: the run to go on with; result: which file is the result, as the stored request says;
may_start: how many waiting steps a claim would take now) |
late (the step is final: the success is recorded, and nothing else changes) | stale (not this run''s
task, or another worker copies the result). A task of another step or run changes nothing.

Refuses: nothing.

Replay: stale while the lease lasts; afterwards copy, for the next worker.
';
comment on function unstuck.step_fail_v1(uuid,integer,bigint,text,text) is
'
Caller: a worker or a healer that learned from the provider that the step failed.

Effect: fails the step and, by the job''s refund rule, the job, and refunds in the same transaction.
outcome: failed | stale (not the present run, or final).

Refuses: nothing.

Replay: stale; nothing is refunded twice.
';
comment on function unstuck.step_get_v1(uuid,integer) is
'
Caller: the consumer of webhooks'' messages and the reconciliation of lost submissions.

Effect: none; returns one step as it is now.

Refuses: nothing; no row where there is no such step.

Replay: reads again.
';
comment on function unstuck.step_heartbeat_v1(uuid,integer,bigint) is
'
Caller: a worker, while a synchronous call or a copy runs.

Effect: renews the lease, never past the step''s deadline. lease_ms: how long it lasts. applied =
false: the lease is lost, and the worker aborts its call.

Refuses: nothing.

Replay: renews the lease again.
';
comment on function unstuck.step_requeue_v1(uuid,integer,bigint,text,integer,text,text) is
'
Caller: a worker whose submission the provider refused for capacity, or failed in a way that may
pass (p_kind: capacity | transient).

Effect: puts the step back into the queue until p_delay_ms have passed, and frees its slot. Past
attempt_max or expires_at it fails the step and refunds instead. capacity: the step keeps its turn
and waits with the code PROVIDER_BUSY; if it was sent, the provider''s learned limit falls to what
the provider took, so that a freed slot, or the next probe, starts the step. outcome: queued |
failed | stale (not the present run, or the provider is done).

Refuses: bad_request for another kind.

Replay: stale.
';
comment on function unstuck.step_sent_v1(uuid,integer,bigint) is
'
Caller: a worker, before its request leaves for the provider.

Effect: records that the step was sent, and counts the attempt. applied = false: not the present
run, or sent before; the worker must not submit.

Refuses: nothing.

Replay: applied = false.
';
comment on function unstuck.step_started_v1(uuid,integer,bigint,text) is
'
Caller: a worker that got the provider''s task for its submission, or a healer that found it later. A
webhook alone is no reason to call it for a task that is still at work.

Effect: records the task; an accepted step closes the circuits of its provider and tool, and raises
the provider''s learned limit where it had not so many before. outcome: running | cancel_due (the
step is final or was claimed again: the caller cancels the task at the provider, else a sweep does)
| stale (recorded before, or a task of another step, which changes nothing). webhook_waiting: a
webhook of this run is not applied yet.

Refuses: nothing.

Replay: running for the same task; stale where its cancel is owed already.
';
comment on function unstuck.steps_due_v1(text,integer,boolean) is
'
Caller: a healer, for one asynchronous provider; with p_all the checker, for which every running
step is due.

Effect: reserves up to p_limit steps to query about, and up to p_limit cancels to send, for the
caller. due: query (unchecked for 30 s, for three minutes where webhooks are signed, or past the
deadline) | inbox (sent without an answer; or a webhook of an earlier run that nobody applied, up to
p_limit more rows, which are not reserved) | copy (the provider is done, the result is not stored) |
cancel (owed). Overdue steps come first, then those that were not queried for longest. input: the
step''s stored request for inbox, only its result for query and copy, null for cancel. open: how many
tasks the provider works on in all.

Refuses: nothing; no row for a synchronous provider. What another transaction has locked, or a step
that cannot be reserved, is left to the next call.

Replay: a step that is reserved does not come again for some seconds.
';
comment on function unstuck.steps_get_v1(uuid) is
'
Caller: reconcile, and the edge after a cancel.

Effect: none; returns the steps of a job that exist, whatever its total_steps says, at most 100.

Refuses: nothing; no row where there is no such job.

Replay: reads again.
';
comment on function unstuck.steps_waiting_v1(text) is
'
Caller: a worker of a synchronous provider at its end, and every call that may have freed a slot.

Effect: none; waiting: how many steps wait, retries included; may_start: how many of them a claim
would take now.

Refuses: nothing; no row where there is no such provider.

Replay: reads again.
';
comment on function unstuck.sweep_begin_v1(text) is
'
Caller: an edge healer, before its pass.

Effect: writes the row of the pass, which later calls name by sweep_id.

Refuses: nothing.

Replay: another row: each call begins a pass.
';
comment on function unstuck.sweep_end_v1(bigint,integer,integer,bigint) is
'
Caller: an edge healer, after its pass.

Effect: adds what the pass did, audits what changed since the last audit, for about half a second at
most, and stores what health reads: stuck jobs and violations. A count that failed is stored as
null, which is not healthy; the pass is finished all the same. It also adds what ended to the
counters of metrics. remaining: jobs that are due after all the pass did; ping_queues: no probe
came through the queues for a while, and the caller shall send some. ask_balances: the caller shall
ask the providers what is left on our accounts.

Refuses: nothing; no row where there is no such pass.

Replay: adds the numbers again.
';
comment on function unstuck.tools_change_v1(uuid,jsonb,text) is
'
Caller: admin-settings. The role of p_actor is read in the same transaction.

Effect: changes the settings of a tool that p_change names beside `tool` (enabled, creditCost,
pricedPer, runTimeoutSeconds, queueTtlSeconds, attemptMax, userCancelRunning, providerCost;
closeCircuit: true), and writes what changed to admin_log. Orders that are under way keep what they
were told. Returns all tools as they now are; without p_change it only reads.

Refuses: forbidden, not_found, bad_request (a value that the table refuses; a price without a
reason).

Replay: changes nothing.
';
comment on function unstuck.user_active_v1(uuid) is
'
Caller: check-user-active, for the verified user.

Effect: heals the user''s jobs that ran out of time and cancels the user''s orphans; then one row says
whether the user has a live job in an exclusive group, and which.

Refuses: nothing.

Replay: reads again.
';
comment on function unstuck.user_erase_v1(uuid,uuid,text) is
'
Caller: admin-users, for its erase operation. The role of p_actor is read in the same transaction.

Effect: cancels the user''s live jobs, then deletes the user''s jobs, steps, events, webhooks, ledger,
account, debts, cancelled orders, pages, turns and roles, all or nothing, and records it in
admin_log. Purchases are kept as the books of what was sold, and name nobody. A job that a provider
may still work on stays for a day as a bare row that names no user, so that its cancel is sent. The
files are listed in erasures and deleted later through the Storage API. jobs, entries: deleted rows;
files: results that the jobs named.

Refuses: forbidden, bad_request, in_progress (the app''s wallet does not take back what it owes the
user, or its tables do not take the ends of the user''s jobs; refunds_owed: how many credits,
rows_owed: how many rows. Where they never will, first delete the user''s rows of refunds_owed, or
switch that row of projections off).

Replay: zeros, and no second row of admin_log. The user may come back and is a new user then.
';
comment on function unstuck.user_heal_v1(uuid) is
'
Caller: a request that was refused because of the user''s own live jobs or for too few credits, and a
quote of a user for whom credits wait.

Effect: gives the user what waits, the sign-up bonus and purchases, so that it stays whatever is
refused; then heals the jobs of this user that ran out of time. The heal waits at most a second for
the user''s account; if another transaction holds it for longer, nothing is healed.

Refuses: nothing.

Replay: zeros.
';
comment on function unstuck.user_on_behalf_v1(uuid) is
'
Caller: every function that the service may call on behalf of a user.

Effect: none; whether the user is anonymous.

Refuses: not_found, for a user whom the project does not have.

Replay: reads again.
';
comment on function unstuck.user_show_v1(uuid,uuid) is
'
Caller: admin-users. The role of p_actor is read in the same transaction.

Effect: none. One user: balance and debt, the newest 100 jobs and 200 entries of the ledger, debts
and purchases. A user whom nobody knows has zeros and empty lists.

Refuses: forbidden.

Replay: reads again.
';
comment on function unstuck.users_find_v1(uuid,text) is
'
Caller: admin-users. The role of p_actor is read in the same transaction.

Effect: none. Up to twenty users, and up to twenty jobs, whom a text names: an e-mail address or its
beginning, the id of a user or a job or its beginning, a provider''s id of a task, or the id of the
request that ordered. Of a job, its user is found too.

Refuses: forbidden, bad_request (an empty text).

Replay: reads again.
';
comment on function unstuck.webhook_applied_v1(bigint) is
'
Caller: whoever settled a step after its webhook: the background of the webhook''s request, or the
queue''s consumer.

Effect: marks the webhook as applied.

Refuses: nothing; no row where there is no such webhook.

Replay: keeps the first time.
';
comment on function unstuck.webhook_record_v1(text,uuid,integer,bigint,text,text,jsonb) is
'
Caller: Workers of the version before `webhook_record_v2`, which does the work.

Effect: stores the webhook; it changes no job.

Refuses: nothing.

Replay: recorded = false, with the id of the webhook that is stored.
';
comment on function unstuck.webhook_record_v2(text,uuid,integer,bigint,text,text,jsonb) is
'
Caller: provider-webhook, after it verified the token.

Effect: stores the webhook; it changes no job. step: the step as `step_get_v1` returns it, without
its output.

Refuses: nothing.

Replay: recorded = false, with the id of the webhook that is stored.
';
comment on table unstuck.admin_log is
'
What admins did, and each change of a price, a tool or a provider, by whomever. Written in the
transaction of the act, append-only for everybody, kept for ever.
';
comment on table unstuck.cancelled_requests is
'
Orders that users cancelled, also before they arrived: an order named here is refused while its row
is kept, a day. At most 1,000 rows per user.
';
comment on table unstuck.credit_accounts is
'
One row per user, which is locked before anything of the user. Its balance is the built-in wallet;
where an adapter holds the balances it stays 0. There is no foreign key to auth.users, so that the
jobs of a deleted user can still be finalised.
';
comment on table unstuck.credit_debts is
'
Credits that a seller took back after they were spent. A debt is open while `settled` is less than
`amount`: no order is taken then. Later credits settle it; what the seller gives back lessens its
amount.
';
comment on table unstuck.credit_entries is
'
The ledger: every change of a balance, append-only. Unique indexes keep a job from being debited
twice, and a step from being refunded twice.
';
comment on table unstuck.credit_packs is
'
What is sold for money: one row per pack of credits. A disabled pack is not offered; what was bought
of it is still given.
';
comment on table unstuck.erasures is
'
Users who were erased. Their files lie under `<user id>/` in both buckets; the Storage API deletes
them later. files_left: null until they were counted, 0 once all are gone.
';
comment on table unstuck.host_requests is
'
Ends of jobs in the app''s own tables, one row for each, so that no transaction of the app waits for
another to record its own. It is carried out at once where nobody holds the job, else by the next
pass of a healer.
';
comment on table unstuck.job_events is
'
The history: every transition of a job or step. Append-only; triggers write it.
';
comment on table unstuck.job_steps is
'
The work of a job: one row per piece of work at one provider.
';
comment on table unstuck.jobs is
'
What users paid for: one row per order. Its work is in `job_steps`.
';
comment on table unstuck.messages_owed is
'
What must be told to somebody outside. A row is owed until its receiver took it, the end of a job
for a day at most, and is sent at least once, normally once: the receiver knows a repeated one by
its id.
';
comment on table unstuck.projection_errors is
'
Rows of the app that could not be written, and why. Every pass of a healer tries them until each is
written: mended_at.
';
comment on table unstuck.projections is
'
The app''s own tables into which the jobs of a tool are written as they change, under the same id.
';
comment on table unstuck.provider_alarms is
'
What only the operator can mend at a provider: a dead key, an empty wallet, a missing app. One row
per provider, tool and code an hour, with how often it came.
';
comment on table unstuck.providers is
'
The providers, and how many steps each may work on at once. What differs between providers is a
column here: no function names a provider.
';
comment on table unstuck.purchases is
'
A payment, as a seller tells it: one row, whatever number of events it is told by. Kept for ever; of
an erased user without the e-mail address and the id.
';
comment on table unstuck.refunds_owed is
'
Refunds that a wallet did not take, in full or in part, when the job ended. Every pass of a healer
tries them; one that is older than an hour is a row of invariant_violations.
';
comment on table unstuck.retention is
'
How long each kind of row is kept; null: for ever. An operator''s own values stay when a later
version is installed. A kind without a row here is never pruned.
';
comment on table unstuck.sessions is
'
Pages of users: what waits of a page that counts as left is cancelled by the healers (`is_left`). A
page without a row is never left. Kept for a day; at most 1,000 rows per user.
';
comment on table unstuck.signup_bonus is
'
The credits of users who signed up since that moment, given by the built-in wallet when the user
first does something. An operator inserts the row; without it there is no bonus.
';
comment on table unstuck.sweeps is
'
One row per pass of a healer. Null counts in a finished row: the count failed.
';
comment on table unstuck.tool_prices is
'
What an order costs by its options: the first rule of its tool whose every condition holds, by
position, gives credits × quantity, rounded up, at least credits_min, at least 1. The quantity is 1
for a job, the number of steps, or what was measured of the order''s stored files, which the column
quantity limits. Where no rule holds the price is that of the row in tools. Each change is a row of
admin_log.
';
comment on table unstuck.tools is
'
What is sold: one row per tool. `tool` is the name of the function that creates its jobs.
';
comment on table unstuck.user_roles is
'
Who holds which role, for a project whose app has no roles of its own.
';
comment on table unstuck.violations_found is
'
Violations of invariants, stored once and kept until they are mended. Exactly one of `job_id` and
`user_id` says whose change has the violation checked again; `entry_id` is set where it is about one
ledger entry of that user.
';
comment on table unstuck.webhook_inbox is
'
Every authentic webhook of a provider, once. One that comes before its step knows the provider''s
task is kept and applied later. It is pruned a week after, once its job is final.
';
comment on view public.generation_history is
'Unstuck front of unstuck.generation_history.';
comment on view public.generation_jobs is
'Unstuck front of unstuck.generation_jobs.';
comment on view public.generation_tasks is
'Unstuck front of unstuck.generation_tasks.';
comment on view public.pose_changer_jobs is
'Unstuck front of unstuck.pose_changer_jobs.';
comment on view public.replicate_tasks is
'Unstuck front of unstuck.replicate_tasks.';
comment on view public.upscaler_jobs is
'Unstuck front of unstuck.upscaler_jobs.';
comment on view public.user_roles is
'Unstuck front of unstuck.user_roles.';
comment on view public.veste_ai_jobs is
'Unstuck front of unstuck.veste_ai_jobs.';
comment on view public.video_upscaler_jobs is
'Unstuck front of unstuck.video_upscaler_jobs.';
comment on view unstuck.generation_history is
'
Jobs under the name that older pages read: websites.
';
comment on view unstuck.generation_jobs is
'
Jobs under the name that older pages read: sets of cards.
';
comment on view unstuck.generation_tasks is
'
Cards under the name that older pages read: one row per step of a set of cards.
';
comment on view unstuck.invariant_violations is
'
One row per violation of an invariant; empty is healthy. For the service and admins.
';
comment on view unstuck.job_health is
'
One row per table: what is live there, how old it is, and three counts that should be 0.
';
comment on view unstuck.job_receipts is
'
What a job cost and why: every entry of its ledger. Owners see their own jobs.
';
comment on view unstuck.jobs_by_hour is
'
The last 24 hours, one row each, for the admin page.
';
comment on view unstuck.money_by_day is
'
What moved in the ledger in the last 62 days of UTC: a row per day, kind of entry and tool, for the
service and admins. Entries without a job have no tool.
';
comment on view unstuck.my_balance is
'
One row: what the caller may spend, whoever holds the balance, the debt that stops orders, and
whether credits wait that the caller''s next quote, order or `check-user-active` gives.
';
comment on view unstuck.open_debts is
'
Who owes credits, and since when: one row for each user. Owners see their own, admins everybody''s.
';
comment on view unstuck.pose_changer_jobs is
'
Jobs under the name that older pages read: the pose changer.
';
comment on view unstuck.provider_errors is
'
Why steps failed in the last 24 hours: a row per provider and code, with how often and the newest of
them. For the service and admins.
';
comment on view unstuck.provider_load is
'
Each provider''s slots, as configured and as learned, its queue, open circuits, and what it last told
of our account there, for the admin page.
';
comment on view unstuck.provider_outcomes is
'
How the steps of the last 24 hours ended, and how long the completed ones took at the provider: a
row per provider and tool, and one per provider whose tool is null. For the service and admins.
';
comment on view unstuck.queue_positions is
'
The position of each waiting job and the seconds until it starts; for the service and admins.
';
comment on view unstuck.replicate_tasks is
'
Jobs under the name that older pages read: the try-on of several garments.
';
comment on view unstuck.tool_costs is
'
What an attempt of each tool costs at its provider, in credits (null: nobody has said), and the
attempts and costs of the steps that ended in the last 62 days of UTC, for the service and admins.
';
comment on view unstuck.upscaler_jobs is
'
Jobs under the name that older pages read: the image upscaler.
';
comment on view unstuck.veste_ai_jobs is
'
Jobs under the name that older pages read: the try-on of one garment.
';
comment on view unstuck.video_upscaler_jobs is
'
Jobs under the name that older pages read: the video upscaler.
';

-- row level security
alter table unstuck.admin_log enable row level security;
create policy admin_log_read on unstuck.admin_log as permissive for select to authenticated using (( SELECT unstuck_private.is_admin() AS is_admin));
alter table unstuck.cancelled_requests enable row level security;
alter table unstuck.credit_accounts enable row level security;
create policy credit_accounts_read on unstuck.credit_accounts as permissive for select to authenticated using (((user_id = ( SELECT auth.uid() AS uid)) OR ( SELECT unstuck_private.is_admin() AS is_admin)));
alter table unstuck.credit_debts enable row level security;
create policy credit_debts_read on unstuck.credit_debts as permissive for select to authenticated using (((user_id = ( SELECT auth.uid() AS uid)) OR ( SELECT unstuck_private.is_admin() AS is_admin)));
alter table unstuck.credit_entries enable row level security;
create policy credit_entries_read on unstuck.credit_entries as permissive for select to authenticated using (((user_id = ( SELECT auth.uid() AS uid)) OR ( SELECT unstuck_private.is_admin() AS is_admin)));
alter table unstuck.credit_packs enable row level security;
create policy credit_packs_read on unstuck.credit_packs as permissive for select to authenticated using (( SELECT unstuck_private.is_admin() AS is_admin));
create policy credit_packs_read_offered on unstuck.credit_packs as permissive for select to anon, authenticated using (enabled);
alter table unstuck.erasures enable row level security;
alter table unstuck.host_requests enable row level security;
alter table unstuck.job_events enable row level security;
create policy job_events_read on unstuck.job_events as permissive for select to authenticated using (( SELECT unstuck_private.is_admin() AS is_admin));
alter table unstuck.job_steps enable row level security;
create policy job_steps_read on unstuck.job_steps as permissive for select to authenticated using ((EXISTS ( SELECT
   FROM unstuck.jobs j
  WHERE (j.id = job_steps.job_id))));
alter table unstuck.jobs enable row level security;
create policy jobs_read on unstuck.jobs as permissive for select to authenticated using (((user_id = ( SELECT auth.uid() AS uid)) OR ( SELECT unstuck_private.is_admin() AS is_admin)));
alter table unstuck.messages_owed enable row level security;
alter table unstuck.projection_errors enable row level security;
alter table unstuck.projections enable row level security;
alter table unstuck.provider_alarms enable row level security;
create policy provider_alarms_read on unstuck.provider_alarms as permissive for select to authenticated using (( SELECT unstuck_private.is_admin() AS is_admin));
alter table unstuck.providers enable row level security;
create policy providers_read on unstuck.providers as permissive for select to authenticated using (true);
alter table unstuck.purchases enable row level security;
create policy purchases_read on unstuck.purchases as permissive for select to authenticated using (( SELECT unstuck_private.is_admin() AS is_admin));
alter table unstuck.refunds_owed enable row level security;
alter table unstuck.retention enable row level security;
alter table unstuck.sessions enable row level security;
alter table unstuck.signup_bonus enable row level security;
alter table unstuck.sweeps enable row level security;
alter table unstuck.tool_prices enable row level security;
create policy tool_prices_read on unstuck.tool_prices as permissive for select to anon, authenticated using (true);
alter table unstuck.tools enable row level security;
create policy tools_read on unstuck.tools as permissive for select to anon, authenticated using (true);
alter table unstuck.user_roles enable row level security;
create policy user_roles_read on unstuck.user_roles as permissive for select to authenticated using (((user_id = ( SELECT auth.uid() AS uid)) OR ( SELECT unstuck_private.is_admin() AS is_admin)));
alter table unstuck.violations_found enable row level security;
alter table unstuck.webhook_inbox enable row level security;
alter table unstuck_private.alert_states enable row level security;
alter table unstuck_private.audit_lock enable row level security;
alter table unstuck_private.costs_by_day enable row level security;
alter table unstuck_private.counted_until enable row level security;
alter table unstuck_private.counters enable row level security;
alter table unstuck_private.deployment enable row level security;
alter table unstuck_private.deployment_alarms enable row level security;
alter table unstuck_private.ended_by_minute enable row level security;
alter table unstuck_private.events_seen enable row level security;
alter table unstuck_private.file_walks enable row level security;
alter table unstuck_private.healer_marks enable row level security;
alter table unstuck_private.installed enable row level security;
alter table unstuck_private.migrations enable row level security;
alter table unstuck_private.provider_balances enable row level security;
alter table unstuck_private.removals enable row level security;
alter table unstuck_private.retention_progress enable row level security;
alter table unstuck_private.settings_differing enable row level security;
alter table unstuck_private.turns_owed enable row level security;
alter table unstuck_private.unaudited enable row level security;
alter table unstuck_private.unhealed enable row level security;
alter table unstuck_private.unprojected enable row level security;

-- published tables
alter publication supabase_realtime add table unstuck.jobs;

-- grants
grant select on column unstuck.job_steps.attempts to authenticated;
grant select on column unstuck.job_steps.checked_at to authenticated;
grant select on column unstuck.job_steps.completed_at to authenticated;
grant select on column unstuck.job_steps.deadline_at to authenticated;
grant select on column unstuck.job_steps.error_code to authenticated;
grant select on column unstuck.job_steps.error_message to authenticated;
grant select on column unstuck.job_steps.job_id to authenticated;
grant select on column unstuck.job_steps.lease_until to authenticated;
grant select on column unstuck.job_steps.not_before to authenticated;
grant select on column unstuck.job_steps.provider to authenticated;
grant select on column unstuck.job_steps.provider_done_at to authenticated;
grant select on column unstuck.job_steps.provider_task_id to authenticated;
grant select on column unstuck.job_steps.rescues to authenticated;
grant select on column unstuck.job_steps.run to authenticated;
grant select on column unstuck.job_steps.sent_at to authenticated;
grant select on column unstuck.job_steps.share to authenticated;
grant select on column unstuck.job_steps.started_at to authenticated;
grant select on column unstuck.job_steps.status to authenticated;
grant select on column unstuck.job_steps.step to authenticated;
grant select on column unstuck.tools.account_faults to authenticated;
grant select on column unstuck.tools.attempt_max to anon;
grant select on column unstuck.tools.attempt_max to authenticated;
grant select on column unstuck.tools.circuit_closed_at to authenticated;
grant select on column unstuck.tools.circuit_open_until to authenticated;
grant select on column unstuck.tools.circuit_opened_at to authenticated;
grant select on column unstuck.tools.circuit_reason to authenticated;
grant select on column unstuck.tools.credit_cost to anon;
grant select on column unstuck.tools.credit_cost to authenticated;
grant select on column unstuck.tools.enabled to anon;
grant select on column unstuck.tools.enabled to authenticated;
grant select on column unstuck.tools.exclusive_group to anon;
grant select on column unstuck.tools.exclusive_group to authenticated;
grant select on column unstuck.tools.priced_per to anon;
grant select on column unstuck.tools.priced_per to authenticated;
grant select on column unstuck.tools.provider to anon;
grant select on column unstuck.tools.provider to authenticated;
grant select on column unstuck.tools.queue_ttl to anon;
grant select on column unstuck.tools.queue_ttl to authenticated;
grant select on column unstuck.tools.refund_rule to anon;
grant select on column unstuck.tools.refund_rule to authenticated;
grant select on column unstuck.tools.run_timeout to anon;
grant select on column unstuck.tools.run_timeout to authenticated;
grant select on column unstuck.tools.start_timeout to anon;
grant select on column unstuck.tools.start_timeout to authenticated;
grant select on column unstuck.tools.step_order to anon;
grant select on column unstuck.tools.step_order to authenticated;
grant select on column unstuck.tools.table_name to anon;
grant select on column unstuck.tools.table_name to authenticated;
grant select on column unstuck.tools.tool to anon;
grant select on column unstuck.tools.tool to authenticated;
grant select on column unstuck.tools.user_cancel_running to anon;
grant select on column unstuck.tools.user_cancel_running to authenticated;
grant execute on function public.cleanup_all_stale_ai_jobs() to service_role;
grant execute on function public.consume_upscaler_credits(uuid,bigint,text) to service_role;
grant execute on function public.credit_grant_v1(uuid,bigint,text,text) to service_role;
grant execute on function public.has_role(uuid,unstuck.app_role) to authenticated;
grant execute on function public.has_role(uuid,unstuck.app_role) to service_role;
grant execute on function public.refund_upscaler_credits(uuid,bigint,text) to service_role;
grant execute on function unstuck.admin_log_read_v1(uuid,bigint,text,text,integer) to service_role;
grant execute on function unstuck.alerts_due_v1(integer,integer,integer,integer) to service_role;
grant execute on function unstuck.cleanup_all_stale_ai_jobs() to service_role;
grant execute on function unstuck.consume_upscaler_credits(uuid,bigint,text) to service_role;
grant execute on function unstuck.credit_grant_admin_v1(uuid,uuid,bigint,text,text) to service_role;
grant execute on function unstuck.credit_grant_v1(uuid,bigint,text,text) to service_role;
grant execute on function unstuck.deployment_alarm_v1() to service_role;
grant execute on function unstuck.doctor_v1() to service_role;
grant execute on function unstuck.ends_due_v1(integer) to service_role;
grant execute on function unstuck.event_seen_v1(text,text) to service_role;
grant execute on function unstuck.files_choose_v1(text,text,jsonb,uuid) to service_role;
grant execute on function unstuck.files_deleted_v1(text,integer,integer,uuid,text,text) to service_role;
grant execute on function unstuck.files_due_v1() to service_role;
grant execute on function unstuck.generation_get_v1(uuid,text,uuid) to service_role;
grant execute on function unstuck.generation_put_back_v1(uuid,bigint) to service_role;
grant execute on function unstuck.generation_retry_v1(uuid,text,uuid) to service_role;
grant execute on function unstuck.generations_stale_v1(integer) to service_role;
grant execute on function unstuck.has_role(uuid,unstuck.app_role) to authenticated;
grant execute on function unstuck.has_role(uuid,unstuck.app_role) to service_role;
grant execute on function unstuck.health_v1() to service_role;
grant execute on function unstuck.health_v2() to service_role;
grant execute on function unstuck.job_cancel_admin_v1(uuid,text,uuid,text) to service_role;
grant execute on function unstuck.job_cancel_v1(uuid,text,uuid) to service_role;
grant execute on function unstuck.job_cancel_v2(uuid,uuid) to service_role;
grant execute on function unstuck.job_cancel_v3(uuid,uuid) to service_role;
grant execute on function unstuck.job_enqueue_v1(uuid,uuid,text,text,jsonb,text,jsonb) to service_role;
grant execute on function unstuck.job_enqueue_v2(uuid,uuid,text,text,jsonb,text,jsonb,boolean,bigint,jsonb,boolean) to service_role;
grant execute on function unstuck.job_get_v1(uuid,uuid,text,text) to service_role;
grant execute on function unstuck.job_requeue_v1(uuid,text,uuid,boolean,uuid,text) to service_role;
grant execute on function unstuck.job_show_v1(uuid,uuid) to service_role;
grant execute on function unstuck.jobs_cancel_many_v1(uuid,jsonb,integer,text) to service_role;
grant execute on function unstuck.jobs_list_v1(uuid,text,text,integer) to service_role;
grant execute on function unstuck.jobs_requeue_many_v1(uuid,jsonb,integer,text) to service_role;
grant execute on function unstuck.jobs_sweep_v1(bigint,integer) to service_role;
grant execute on function unstuck.message_sent_v1(uuid,boolean,integer) to service_role;
grant execute on function unstuck.metrics_v1() to service_role;
grant execute on function unstuck.order_quote_v1(text,jsonb,integer,uuid,jsonb) to service_role;
grant execute on function unstuck.prices_change_v1(uuid,jsonb,text) to service_role;
grant execute on function unstuck.provider_alarm_v1(text,text,text,text,text) to service_role;
grant execute on function unstuck.provider_balance_v1(text,jsonb) to service_role;
grant execute on function unstuck.providers_change_v1(uuid,jsonb,text) to service_role;
grant execute on function unstuck.purchase_checkout_v1(uuid,text) to service_role;
grant execute on function unstuck.purchase_record_v1(text,jsonb) to service_role;
grant execute on function unstuck.queue_check_v1(text) to service_role;
grant execute on function unstuck.refund_upscaler_credits(uuid,bigint,text) to service_role;
grant execute on function unstuck.session_cancel_v1(uuid,text,uuid[]) to service_role;
grant execute on function unstuck.session_leave_v1(uuid,text,integer) to service_role;
grant execute on function unstuck.session_stay_v1(uuid,text) to service_role;
grant execute on function unstuck.settings_compared_v1(text[]) to service_role;
grant execute on function unstuck.step_cancelled_v1(uuid,integer,text) to service_role;
grant execute on function unstuck.step_checked_v1(uuid,integer,bigint,text) to service_role;
grant execute on function unstuck.step_claim_v1(text,integer) to service_role;
grant execute on function unstuck.step_complete_v1(uuid,integer,bigint,jsonb,text) to service_role;
grant execute on function unstuck.step_complete_v2(uuid,integer,bigint,jsonb,text) to service_role;
grant execute on function unstuck.step_done_v1(uuid,integer,bigint,text,jsonb) to service_role;
grant execute on function unstuck.step_done_v2(uuid,integer,bigint,text,jsonb) to service_role;
grant execute on function unstuck.step_fail_v1(uuid,integer,bigint,text,text) to service_role;
grant execute on function unstuck.step_get_v1(uuid,integer) to service_role;
grant execute on function unstuck.step_heartbeat_v1(uuid,integer,bigint) to service_role;
grant execute on function unstuck.step_requeue_v1(uuid,integer,bigint,text,integer,text,text) to service_role;
grant execute on function unstuck.step_sent_v1(uuid,integer,bigint) to service_role;
grant execute on function unstuck.step_started_v1(uuid,integer,bigint,text) to service_role;
grant execute on function unstuck.steps_due_v1(text,integer,boolean) to service_role;
grant execute on function unstuck.steps_get_v1(uuid) to service_role;
grant execute on function unstuck.steps_waiting_v1(text) to service_role;
grant execute on function unstuck.sweep_begin_v1(text) to service_role;
grant execute on function unstuck.sweep_end_v1(bigint,integer,integer,bigint) to service_role;
grant execute on function unstuck.tools_change_v1(uuid,jsonb,text) to service_role;
grant execute on function unstuck.user_active_v1(uuid) to service_role;
grant execute on function unstuck.user_erase_v1(uuid,uuid,text) to service_role;
grant execute on function unstuck.user_heal_v1(uuid) to service_role;
grant execute on function unstuck.user_on_behalf_v1(uuid) to service_role;
grant execute on function unstuck.user_show_v1(uuid,uuid) to service_role;
grant execute on function unstuck.users_find_v1(uuid,text) to service_role;
grant execute on function unstuck.webhook_applied_v1(bigint) to service_role;
grant execute on function unstuck.webhook_record_v1(text,uuid,integer,bigint,text,text,jsonb) to service_role;
grant execute on function unstuck.webhook_record_v2(text,uuid,integer,bigint,text,text,jsonb) to service_role;
grant execute on function unstuck_private.caller_balance() to authenticated;
grant execute on function unstuck_private.caller_balance() to service_role;
grant execute on function unstuck_private.caller_positions() to authenticated;
grant execute on function unstuck_private.caller_positions() to service_role;
grant execute on function unstuck_private.is_admin() to authenticated;
grant execute on function unstuck_private.is_admin() to service_role;
grant execute on function unstuck_private.is_final(text) to authenticated;
grant execute on function unstuck_private.is_final(text) to service_role;
grant execute on function unstuck_private.is_live(text) to authenticated;
grant execute on function unstuck_private.is_live(text) to service_role;
grant execute on function unstuck_private.may_see(uuid) to authenticated;
grant execute on function unstuck_private.may_see(uuid) to service_role;
grant execute on function unstuck_private.number_or_null(text) to authenticated;
grant execute on function unstuck_private.number_or_null(text) to service_role;
grant execute on function unstuck_private.seconds_between(timestamp with time zone,timestamp with time zone) to authenticated;
grant execute on function unstuck_private.seconds_between(timestamp with time zone,timestamp with time zone) to service_role;
grant execute on function unstuck_private.status_word(text,text) to authenticated;
grant execute on function unstuck_private.status_word(text,text) to service_role;
grant execute on function unstuck_private.visible_costs() to authenticated;
grant execute on function unstuck_private.visible_costs() to service_role;
grant execute on function unstuck_private.visible_errors() to authenticated;
grant execute on function unstuck_private.visible_errors() to service_role;
grant execute on function unstuck_private.visible_hours() to authenticated;
grant execute on function unstuck_private.visible_hours() to service_role;
grant execute on function unstuck_private.visible_load() to authenticated;
grant execute on function unstuck_private.visible_load() to service_role;
grant execute on function unstuck_private.visible_money() to authenticated;
grant execute on function unstuck_private.visible_money() to service_role;
grant execute on function unstuck_private.visible_outcomes() to authenticated;
grant execute on function unstuck_private.visible_outcomes() to service_role;
grant execute on function unstuck_private.visible_positions() to authenticated;
grant execute on function unstuck_private.visible_positions() to service_role;
grant execute on function unstuck_private.visible_violations() to authenticated;
grant execute on function unstuck_private.visible_violations() to service_role;
grant usage on schema public to anon;
grant usage on schema public to authenticated;
grant usage on schema public to public;
grant usage on schema public to service_role;
grant usage on schema unstuck to anon;
grant usage on schema unstuck to authenticated;
grant usage on schema unstuck to service_role;
grant usage on schema unstuck_private to authenticated;
grant usage on schema unstuck_private to service_role;
grant select on table public.generation_history to authenticated;
grant select on table public.generation_history to service_role;
grant select on table public.generation_jobs to authenticated;
grant select on table public.generation_jobs to service_role;
grant select on table public.generation_tasks to authenticated;
grant select on table public.generation_tasks to service_role;
grant delete, insert, select, update on table public.pose_changer_jobs to authenticated;
grant select on table public.pose_changer_jobs to service_role;
grant select on table public.replicate_tasks to authenticated;
grant select on table public.replicate_tasks to service_role;
grant delete, insert, select, update on table public.upscaler_jobs to authenticated;
grant select on table public.upscaler_jobs to service_role;
grant select on table public.user_roles to authenticated;
grant select on table public.user_roles to service_role;
grant delete, insert, select, update on table public.veste_ai_jobs to authenticated;
grant select on table public.veste_ai_jobs to service_role;
grant delete, insert, select, update on table public.video_upscaler_jobs to authenticated;
grant select on table public.video_upscaler_jobs to service_role;
grant select on table unstuck.admin_log to authenticated;
grant select on table unstuck.admin_log to service_role;
grant select on table unstuck.cancelled_requests to service_role;
grant select on table unstuck.credit_accounts to authenticated;
grant select on table unstuck.credit_accounts to service_role;
grant select on table unstuck.credit_debts to authenticated;
grant select on table unstuck.credit_debts to service_role;
grant select on table unstuck.credit_entries to authenticated;
grant select on table unstuck.credit_entries to service_role;
grant select on table unstuck.credit_packs to anon;
grant select on table unstuck.credit_packs to authenticated;
grant select on table unstuck.credit_packs to service_role;
grant select on table unstuck.erasures to service_role;
grant select on table unstuck.generation_history to authenticated;
grant select on table unstuck.generation_history to service_role;
grant select on table unstuck.generation_jobs to authenticated;
grant select on table unstuck.generation_jobs to service_role;
grant select on table unstuck.generation_tasks to authenticated;
grant select on table unstuck.generation_tasks to service_role;
grant select on table unstuck.host_requests to service_role;
grant select on table unstuck.invariant_violations to authenticated;
grant select on table unstuck.invariant_violations to service_role;
grant select on table unstuck.job_events to authenticated;
grant select on table unstuck.job_events to service_role;
grant select on table unstuck.job_health to authenticated;
grant select on table unstuck.job_health to service_role;
grant select on table unstuck.job_receipts to authenticated;
grant select on table unstuck.job_receipts to service_role;
grant select on table unstuck.job_steps to service_role;
grant select on table unstuck.jobs to authenticated;
grant select on table unstuck.jobs to service_role;
grant select on table unstuck.jobs_by_hour to authenticated;
grant select on table unstuck.jobs_by_hour to service_role;
grant select on table unstuck.messages_owed to service_role;
grant select on table unstuck.money_by_day to authenticated;
grant select on table unstuck.money_by_day to service_role;
grant select on table unstuck.my_balance to authenticated;
grant select on table unstuck.my_balance to service_role;
grant select on table unstuck.open_debts to authenticated;
grant select on table unstuck.open_debts to service_role;
grant delete, insert, select, update on table unstuck.pose_changer_jobs to authenticated;
grant select on table unstuck.pose_changer_jobs to service_role;
grant select on table unstuck.projection_errors to service_role;
grant select on table unstuck.projections to service_role;
grant select on table unstuck.provider_alarms to authenticated;
grant select on table unstuck.provider_alarms to service_role;
grant select on table unstuck.provider_errors to authenticated;
grant select on table unstuck.provider_errors to service_role;
grant select on table unstuck.provider_load to authenticated;
grant select on table unstuck.provider_load to service_role;
grant select on table unstuck.provider_outcomes to authenticated;
grant select on table unstuck.provider_outcomes to service_role;
grant select on table unstuck.providers to authenticated;
grant select on table unstuck.providers to service_role;
grant select on table unstuck.purchases to authenticated;
grant select on table unstuck.purchases to service_role;
grant select on table unstuck.queue_positions to authenticated;
grant select on table unstuck.queue_positions to service_role;
grant select on table unstuck.refunds_owed to service_role;
grant select on table unstuck.replicate_tasks to authenticated;
grant select on table unstuck.replicate_tasks to service_role;
grant select on table unstuck.retention to service_role;
grant select on table unstuck.sessions to service_role;
grant select on table unstuck.signup_bonus to service_role;
grant select on table unstuck.sweeps to service_role;
grant select on table unstuck.tool_costs to authenticated;
grant select on table unstuck.tool_costs to service_role;
grant select on table unstuck.tool_prices to anon;
grant select on table unstuck.tool_prices to authenticated;
grant select on table unstuck.tool_prices to service_role;
grant select on table unstuck.tools to service_role;
grant delete, insert, select, update on table unstuck.upscaler_jobs to authenticated;
grant select on table unstuck.upscaler_jobs to service_role;
grant select on table unstuck.user_roles to authenticated;
grant select on table unstuck.user_roles to service_role;
grant delete, insert, select, update on table unstuck.veste_ai_jobs to authenticated;
grant select on table unstuck.veste_ai_jobs to service_role;
grant delete, insert, select, update on table unstuck.video_upscaler_jobs to authenticated;
grant select on table unstuck.video_upscaler_jobs to service_role;
grant select on table unstuck.violations_found to service_role;
grant select on table unstuck.webhook_inbox to service_role;
grant select on table unstuck_private.delivered_outputs to authenticated;
grant select on table unstuck_private.delivered_outputs to service_role;
