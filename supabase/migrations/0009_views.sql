-- The old table names, receipts, positions, audits and invariants as views. Reading follows row-level security (an owner
-- sees own rows, an admin all); writing goes through INSTEAD OF triggers that check auth.uid() and never touch money.

create or replace function private.is_admin() returns boolean
language sql stable security definer set search_path = '' as
$$ select auth.uid() is not null and public.has_role(auth.uid(), 'admin') $$;

-- True for the job's owner, an admin, the service role and the database's own roles. PostgREST sets `role`; psql has none.
create or replace function private.may_see(p_user_id uuid) returns boolean
language sql stable security definer set search_path = '' as
$$
  select coalesce(current_setting('role', true), 'none') not in ('anon', 'authenticated') or p_user_id = auth.uid() or private.is_admin()
$$;

create or replace function private.job_position(p_job_id uuid) returns int
language sql stable security definer set search_path = '' as
$$
  select p."position" from public.jobs j join public.tools t using (tool)
  cross join lateral private.queue_places(t.provider) p
  where j.id = p_job_id and j.status = 'queued' and p.job_id = j.id and private.may_see(j.user_id)
$$;

-- Status words by front end (API, "Status words"). The table name decides.
create or replace function private.status_word(p_table text, p_status text) returns text
language sql immutable as
$$
  select case
    when p_status in ('completed', 'failed', 'cancelled') then p_status
    when p_status in ('pending', 'queued', 'blocked') then case when p_table in ('generation_jobs', 'generation_tasks', 'replicate_tasks', 'generation_history') then 'pending' else 'queued' end
    when p_table in ('generation_jobs', 'generation_tasks', 'replicate_tasks') then 'processing'
    when p_table = 'generation_history' then 'generating'
    else 'running' end
$$;

create or replace function private.job_task_id(p_job_id uuid) returns text
language sql stable security definer set search_path = '' as
$$
  select s.provider_task_id from public.job_steps s join public.jobs j on j.id = s.job_id
  where s.job_id = p_job_id and s.provider_task_id is not null and private.may_see(j.user_id) order by s.step desc limit 1
$$;

-- A picture is shown to its owner once it was delivered: its step completed, and the job did not fail as a whole.
create or replace function private.step_output_url(p_job_id uuid, p_step int) returns text
language sql stable security definer set search_path = '' as
$$
  select s.output_url from public.job_steps s join public.jobs j on j.id = s.job_id
  where s.job_id = p_job_id and s.step = p_step and s.status = 'completed'
    and (j.refund_rule = 'per_step' or j.status = 'completed') and private.may_see(j.user_id)
$$;

-- A number of a request, or null: one odd row must not make a whole view unreadable.
create or replace function private.number_in(p_text text) returns numeric
language sql immutable as
$$ select substring(p_text from '^-?[0-9]{1,9}(?:[.][0-9]+)?$')::numeric $$;

-- An older client's `input_file_name` may be a bare name: once the input's URL is known, that is what is shown under it.
do $$
declare
  -- view → (where the input's URL lies, the tool's own columns)
  v_views jsonb := $json${
    "upscaler_jobs": ["{imageUrl}", "j.input ->> 'imageUrl' as image_url, private.number_in(j.input ->> 'resolution')::int as resolution, private.number_in(j.input ->> 'detailDenoise') as detail_denoise, j.input ->> 'prompt' as prompt, j.input ->> 'version' as version, j.input ->> 'category' as category, j.input ->> 'framingMode' as framing_mode"],
    "video_upscaler_jobs": ["{videoUrl}", "j.input ->> 'videoUrl' as video_url, private.number_in(j.input ->> 'width')::int as width, private.number_in(j.input ->> 'height')::int as height, private.number_in(j.input ->> 'durationSeconds') as duration_seconds"],
    "pose_changer_jobs": ["{personImageUrl}", "j.input ->> 'personImageUrl' as person_image_url, j.input ->> 'referenceImageUrl' as reference_image_url"],
    "veste_ai_jobs": ["{personImageUrl}", "j.input ->> 'personImageUrl' as person_image_url, j.input ->> 'clothingImageUrl' as clothing_image_url"],
    "generation_jobs": ["{productImages,0,url}", "j.input ->> 'productName' as product_name, j.input ->> 'category' as category, j.input ->> 'description' as description, j.input -> 'productImages' as product_images, j.input -> 'selectedCards' as selected_cards, j.input ->> 'aspectRatio' as aspect_ratio, j.total_steps as total_cards"],
    "replicate_tasks": ["{person_image}", "j.input ->> 'person_image' as person_image, j.input -> 'garments' as garments, j.input ->> 'prompt_hints' as prompt_hints, private.job_task_id(j.id) as prediction_id, j.output_url as result_url, j.current_step, j.total_steps, extract(epoch from now() - j.updated_at)::int as seconds_since_change"],
    "generation_history": ["{prompt}", "j.input ->> 'prompt' as prompt, j.input ->> 'siteName' as site_name, j.input ->> 'language' as language, 'retry:' || j.retries as admin_note, j.retries"]
  }$json$;
  v_name text;
begin
  for v_name in select jsonb_object_keys(v_views) loop
    execute format($view$
      create or replace view public.%1$I with (security_invoker = true) as
      select j.id, j.user_id, j.session_id, j.tool, private.status_word(%1$L, j.status) as status,
        case when j.status = 'queued' then private.job_position(j.id) end as "position",
        private.job_task_id(j.id) as task_id, coalesce(j.input #>> %2$L, j.input ->> 'input_file_name') as input_file_name, j.input #>> %2$L as input_url,
        j.output_url, j.credits_charged as user_credit_cost, j.credits_refunded, j.error_code, j.error_message,
        j.created_at, j.queued_at, j.started_at, j.completed_at, j.updated_at, j.waited_in_queue, %3$s
      from public.jobs j where j.tool in (select t.tool from public.tools t where t.table_name = %1$L)$view$,
      v_name, v_views -> v_name ->> 0, v_views -> v_name ->> 1);
  end loop;
end $$;

create or replace view public.generation_tasks with (security_invoker = true) as
select j.id as job_id, s.step, s.step - 1 as task_index, j.user_id, j.session_id,
  case when s.status = 'queued' and s.not_before > now() then 'retrying' else private.status_word('generation_tasks', s.status) end as status,
  private.number_in(j.input -> 'selectedCards' ->> (s.step - 1))::int as card_index,
  private.step_output_url(s.job_id, s.step) as image_url, s.attempts, s.not_before, s.error_code, s.error_message as last_error,
  j.created_at, s.started_at, s.completed_at,
  md5(s.job_id || '/' || s.step)::uuid as id, case when s.status = 'queued' then private.job_position(s.job_id) end as "position",
  s.provider_task_id as task_id, coalesce(j.input #>> '{productImages,0,url}', j.input ->> 'input_file_name') as input_file_name,
  j.input #>> '{productImages,0,url}' as input_url, private.step_output_url(s.job_id, s.step) as output_url, s.share as user_credit_cost,
  s.error_message, j.queued_at, j.updated_at, j.waited_in_queue
from public.job_steps s join public.jobs j on j.id = s.job_id
where j.tool in (select t.tool from public.tools t where t.table_name = 'generation_jobs');

create or replace view public.job_receipts with (security_invoker = true) as
select j.id as job_id, j.user_id, j.tool, j.status, j.credits_charged, j.credits_refunded, j.credits_charged - j.credits_refunded as credits_paid,
  j.total_steps, j.output_url, j.error_code, j.error_message, j.retries, j.retry_of, j.created_at, j.queued_at, j.started_at, j.completed_at,
  (select jsonb_agg(jsonb_build_object('at', e.created_at, 'kind', e.kind, 'amount', e.amount, 'balance_after', e.balance_after, 'step', e.step, 'reason', e.reason) order by e.id)
   from public.credit_entries e where e.job_id = j.id and e.kind in ('debit', 'refund')) as entries
from public.jobs j;

create or replace function private.places_seen() returns table (job_id uuid, provider text, "position" int, eta_seconds int)
language sql stable security definer set search_path = '' as
$$
  select q.job_id, p.provider, q."position", q.eta_seconds
  from public.providers p cross join lateral private.queue_places(p.provider) q where private.may_see(null)
$$;
create or replace view public.queue_positions with (security_invoker = true) as
select s.job_id, s.provider, s."position", s.eta_seconds from private.places_seen() s;

-- A row per table: what is live there, how old it is, and the three things that should be 0.
create or replace view public.job_health with (security_invoker = true) as
select t.table_name, count(j.id) as live,
  count(j.id) filter (where j.status in ('pending', 'queued')) as waiting,
  count(j.id) filter (where j.status in ('starting', 'running')) as running,
  count(j.id) filter (where j.status in ('pending', 'queued') and coalesce(j.queued_at, j.created_at) < now() - interval '2 minutes'
    and private.job_task_id(j.id) is null and j.id not in (select p.job_id from private.places_seen() p)) as old_queued_without_task_or_position,
  count(j.id) filter (where t.table_name = 'video_upscaler_jobs'
    and coalesce(j.input ->> 'videoUrl', j.input ->> 'input_file_name', '') !~ '^https?://') as video_input_not_a_url,
  count(j.id) filter (where j.updated_at < now() - interval '10 minutes') as unchanged_for_10_minutes,
  avg(extract(epoch from now() - j.created_at))::int as mean_age_seconds,
  max(extract(epoch from now() - j.created_at))::int as oldest_seconds,
  max(extract(epoch from now() - j.updated_at))::int as longest_unchanged_seconds
from public.tools t left join public.jobs j on j.tool = t.tool and j.status in ('pending', 'queued', 'starting', 'running')
where (select private.may_see(null)) group by t.table_name;

-- What the admin page shows at a glance: each provider's slots and queue, and a day by the hour.
create or replace function private.load_seen()
returns table (provider text, enabled boolean, max_concurrent int, running int, waiting int, oldest_waiting_seconds int)
language sql stable security definer set search_path = '' as
$$
  select p.provider, p.enabled, p.max_concurrent, r.steps, w.steps, w.oldest
  from public.providers p
  cross join lateral (
    select count(*)::int as steps from public.job_steps s
    where s.provider = p.provider and s.status in ('starting', 'running') and s.provider_done_at is null
  ) r
  cross join lateral (
    select count(*)::int as steps, extract(epoch from clock_timestamp() - min(coalesce(j.queued_at, j.created_at)))::int as oldest
    from public.job_steps s join public.jobs j on j.id = s.job_id where s.provider = p.provider and s.status = 'queued'
  ) w
  where private.may_see(null)
$$;
create or replace view public.provider_load with (security_invoker = true) as
select l.provider, l.enabled, l.max_concurrent, l.running, l.waiting, l.oldest_waiting_seconds from private.load_seen() l;

create or replace function private.hours_seen()
returns table (hour timestamptz, ordered int, completed int, failed int, cancelled int, credits_charged int, credits_refunded int)
language sql stable security definer set search_path = '' as
$$
  with recent as (select date_trunc('hour', clock_timestamp()) - interval '23 hours' as since)
  select h.hour, coalesce(o.jobs, 0), coalesce(e.completed, 0), coalesce(e.failed, 0), coalesce(e.cancelled, 0), coalesce(o.charged, 0), coalesce(e.refunded, 0)
  from recent r
  cross join lateral generate_series(r.since, r.since + interval '23 hours', interval '1 hour') h (hour)
  left join (
    select date_trunc('hour', j.created_at) as hour, count(*)::int as jobs, sum(j.credits_charged)::int as charged
    from public.jobs j, recent where j.created_at >= recent.since group by 1
  ) o using (hour)
  left join (
    select date_trunc('hour', j.completed_at) as hour, count(*) filter (where j.status = 'completed')::int as completed,
      count(*) filter (where j.status = 'failed')::int as failed, count(*) filter (where j.status = 'cancelled')::int as cancelled,
      sum(j.credits_refunded)::int as refunded
    -- A row is last updated when it ends or later, so the index by update finds what ended.
    from public.jobs j, recent where j.updated_at >= recent.since and j.completed_at >= recent.since group by 1
  ) e using (hour)
  where private.may_see(null)
  order by h.hour
$$;
create or replace view public.jobs_by_hour with (security_invoker = true) as
select h.hour, h.ordered, h.completed, h.failed, h.cancelled, h.credits_charged, h.credits_refunded from private.hours_seen() h;

create or replace function private.violations_seen() returns table (invariant text, subject text, detail text)
language sql stable security definer set search_path = '' as
$$ select v.invariant, v.subject, v.detail from private.violations('-infinity') v where private.may_see(null) $$;
create or replace view public.invariant_violations with (security_invoker = true) as
select v.invariant, v.subject, v.detail from private.violations_seen() v;

-- An older client's own insert: stored as pending, unpaid, harmless until its `/run` adopts it. Forged columns are not read.
create or replace function private.old_row_insert() returns trigger
language plpgsql security definer set search_path = '' as
$$
declare v_tool public.tools; v_row jsonb := to_jsonb(new); v_input jsonb := '{}'; v_key text; v_keys jsonb; v_user uuid := auth.uid();
begin
  select * into v_tool from public.tools t where t.table_name = tg_table_name and t.provider = 'runninghub';
  if v_user is null or not found or coalesce(new.user_id, v_user) <> v_user then
    raise exception 'permission denied for %', tg_table_name using errcode = '42501';
  end if;
  insert into public.credit_accounts (user_id) values (v_user) on conflict do nothing;
  perform 1 from public.credit_accounts where user_id = v_user for update;
  -- Twenty at a time, and so many in an hour that came to nothing. What is adopted by its `/run` counts no more.
  if (select count(*) filter (where j.status = 'pending') >= 20 or count(*) >= 200 from public.jobs j
      where j.user_id = v_user and j.request_hash is null and j.created_at > clock_timestamp() - interval '1 hour') then
    perform private.refuse(429, 'rate_limited');
  end if;
  v_keys := '{"image_url": "imageUrl", "resolution": "resolution", "detail_denoise": "detailDenoise", "prompt": "prompt", "version": "version",
    "category": "category", "framing_mode": "framingMode", "video_url": "videoUrl", "width": "width", "height": "height",
    "duration_seconds": "durationSeconds", "person_image_url": "personImageUrl", "reference_image_url": "referenceImageUrl",
    "clothing_image_url": "clothingImageUrl", "input_file_name": "input_file_name"}';
  for v_key in select jsonb_object_keys(v_keys) loop
    if v_row ->> v_key is not null then v_input := v_input || jsonb_build_object(v_keys ->> v_key, v_row -> v_key); end if;
  end loop;
  if octet_length(v_input::text) > 20000 then perform private.refuse(413, 'payload_too_large'); end if;
  perform private.act_as('client');
  begin
    insert into public.jobs (id, tool, user_id, session_id, status, input)
    values (coalesce(new.id, gen_random_uuid()), v_tool.tool, v_user, left(new.session_id, 200), 'pending', v_input)
    returning id into new.id;
  exception when unique_violation then
    perform private.refuse(409, 'idempotency_conflict');
  end;
  -- The row as it is, not as it was written, is what the client is answered with.
  execute format('select * from public.%I where id = $1', tg_table_name) into new using new.id;
  return new;
end $$;

-- An older client may only end its own waiting job. Whatever word it writes, the job is cancelled and returned if paid.
create or replace function private.old_row_update() returns trigger
language plpgsql security definer set search_path = '' as
$$
declare v_user uuid := auth.uid();
begin
  if v_user is null or old.user_id <> v_user or new.id <> old.id or new.user_id <> old.user_id then
    raise exception 'permission denied for %', tg_table_name using errcode = '42501';
  end if;
  if new.status in ('failed', 'cancelled') and (new.status is distinct from old.status or old.error_code = 'ORPHANED') then
    perform 1 from public.job_cancel_v1(v_user, tg_table_name, old.id);
    execute format('select * from public.%I where id = $1', tg_table_name) into new using old.id;
    return new;
  end if;
  return null;
end $$;

create or replace function private.old_row_refuse() returns trigger
language plpgsql set search_path = '' as
$$ begin raise exception 'permission denied for %', tg_table_name using errcode = '42501'; end $$;

do $$
declare v_view text;
begin
  foreach v_view in array array['upscaler_jobs', 'video_upscaler_jobs', 'pose_changer_jobs', 'veste_ai_jobs', 'generation_jobs',
    'replicate_tasks', 'generation_history'] loop
    execute format('create or replace trigger old_row_insert instead of insert on public.%I for each row execute function private.old_row_insert()', v_view);
    execute format('create or replace trigger old_row_update instead of update on public.%I for each row execute function private.old_row_update()', v_view);
    execute format('create or replace trigger old_row_delete instead of delete on public.%I for each row execute function private.old_row_refuse()', v_view);
  end loop;
  -- Cards are written by nobody but the functions.
  create or replace trigger old_row_write instead of insert or update or delete on public.generation_tasks
  for each row execute function private.old_row_refuse();
end $$;
