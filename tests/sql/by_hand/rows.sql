-- Jobs as the owner of the database may write them: every column of a job, of its steps and of its
-- ledger drawn by lot, sense or no sense. What the tables refuse is left out. `by_hand.rows` says
-- how many, `by_hand.seed` (0 to 1) which.
create function pg_temp.one_of(variadic p_choices text[]) returns text
language sql
volatile
as $$ select p_choices[1 + floor(random() * cardinality(p_choices))::int] $$;

-- Mostly some time within three days, sometimes none, sometimes out of all reason.
create function pg_temp.some_time(p_null float, p_ahead float default 0.3) returns timestamptz
language sql
volatile
as $$
  select case
    when random() < p_null then null
    when random() < 0.04 then pg_temp.one_of(
      'infinity', '-infinity', '4712-01-01 BC', '250000-01-01', '1970-01-01',
      '2400-01-01')::timestamptz
    when random() < p_ahead then clock_timestamp() + random() * interval '3 hours'
    else clock_timestamp() - random() * interval '3 days'
  end
$$;

create function pg_temp.some_json() returns jsonb
language sql
volatile
as $$
  select pg_temp.one_of(
    '{}', '{}', '[]', '5', '"text"', 'null', '{"prompt": "a"}', '{"selectedCards": [0, 1, 2]}',
    '{"selectedCards": 7}', '{"selectedCards": ["x"]}', '{"width": "wide", "height": 1e300}',
    '{"durationSeconds": "999999999999"}', '{"videoUrl": 5, "imageUrl": {"a": []}}',
    '{"productImages": {"0": 1}}', '{"siteName": null}')::jsonb
$$;

create function pg_temp.some_credits() returns bigint
language sql
volatile
as $$
  select pg_temp.one_of(
    '0', '0', '60', '60', '10', '20', '50', '1', '61', '9223372036854775807',
    '4611686018427387904')::bigint
$$;

do $do$
declare
  v_rows int := current_setting('by_hand.rows');
  v_id uuid;
  v_ids uuid[] := '{}';
  v_user uuid;
  v_tool text;
  v_status text;
  v_charged bigint;
  v_number numeric;
begin
  perform setseed(current_setting('by_hand.seed')::float);
  -- Most users have an account and money, some have none.
  insert into credit_entries (user_id, kind, amount)
  select md5('by hand ' || n)::uuid, 'grant', 1000000000
  from generate_series(1, v_rows / 60 + 5) n;
  -- One has so much that nothing can be returned.
  insert into credit_entries (user_id, kind, amount)
  values (md5('by hand 1')::uuid, 'grant', 9223372035854775807);
  for i in 1 .. v_rows loop
    v_id := md5(format('job by hand %s', i))::uuid;
    v_user := md5('by hand ' || 1 + floor(random() * (v_rows / 50 + 5)))::uuid;
    v_tool := (select t.tool from tools t order by random() limit 1);
    v_status := pg_temp.one_of('pending', 'queued', 'queued', 'starting', 'running', 'running',
      'running', 'completed', 'failed', 'cancelled');
    v_charged := pg_temp.some_credits();
    begin
      insert into jobs (
        id, tool, user_id, session_id, status, credits_charged, credits_refunded, refund_rule,
        exclusive_key, input, output, output_url, error_code, error_message, total_steps,
        current_step, retries, waited_in_queue, retry_of, request_hash, created_at, queued_at,
        started_at, deadline_at, expires_at, completed_at, quarantined_at)
      select v_id, v_tool, v_user, pg_temp.one_of('session', 'other', null), v_status, v_charged,
        case when random() < 0.8 then 0 else floor(random() * least(v_charged, 100)) end,
        pg_temp.one_of('all', 'per_step', null, null),
        case when random() < 0.2 then
          pg_temp.one_of('runninghub:' || v_user, 'runninghub:' || v_user, 'odd ' || i, '') end,
        pg_temp.some_json(),
        case when random() < 0.2 then pg_temp.some_json() end,
        case
          when random() < 0.2 then pg_temp.one_of('', 'no address', 'https://files.invalid/a')
        end,
        e.code,
        case when e.code is not null then e.code || ': by hand.' end,
        case when random() < 0.03 then 2147483647 else 1 + floor(random() * 5) end,
        case when random() < 0.05 then -2147483648 else floor(random() * 5) end,
        floor(random() * 3),
        random() < 0.5,
        case when random() < 0.05 then v_ids[1 + floor(random() * cardinality(v_ids))::int] end,
        pg_temp.one_of(null, null, 'hash', ''),
        coalesce(pg_temp.some_time(0.1, 0.05), clock_timestamp()),
        pg_temp.some_time(0.5, 0.05), pg_temp.some_time(0.5, 0.05), pg_temp.some_time(0.4),
        pg_temp.some_time(0.4),
        case when v_status in ('completed', 'failed', 'cancelled') then pg_temp.some_time(0.5) end,
        case when random() < 0.03 then clock_timestamp() end
      from (
        select case when random() < 0.1 then pg_temp.one_of('TIMEOUT', 'ORPHANED') end as code
      ) e;
    exception when others then
      continue;
    end;
    v_ids := v_ids || v_id;
    for v_step in 1 .. floor(random() * 4)::int loop
      begin
        v_status := pg_temp.one_of('blocked', 'queued', 'starting', 'starting', 'running',
          'running', 'running', 'completed', 'failed', 'cancelled');
        v_number := random();
        insert into job_steps (
          job_id, step, status, provider, provider_task_id, run, attempts, rescues, share,
          not_before, claimed_at, sent_at, started_at, lease_until, deadline_at, checked_at,
          provider_done_at, provider_cancel_due, input, output, output_url, error_code,
          error_message, completed_at)
        select v_id, v_step * case when random() < 0.03 then 500000000 else 1 end, v_status,
          case when random() < 0.7 then null
            else pg_temp.one_of('runninghub', 'replicate', 'gemini', 'llm') end,
          case when random() < 0.6 then format('task %s of %s', v_step, i) end,
          case when v_number < 0.02 then 900719925474099 else floor(random() * 4) end,
          case when random() < 0.02 then -5 else floor(random() * 5) end,
          floor(random() * 5),
          pg_temp.some_credits(),
          pg_temp.some_time(0.8, 0.7), pg_temp.some_time(0.5), pg_temp.some_time(0.4, 0.05),
          pg_temp.some_time(0.5, 0.05), pg_temp.some_time(0.4), pg_temp.some_time(0.4),
          pg_temp.some_time(0.7), pg_temp.some_time(0.8, 0.05),
          pg_temp.one_of('[]', '[]', '[]', '{}', '5', '"x"', '[1, "x", null, []]',
            '[{"task_id": "t", "run": 1}]', '[{"task_id": 5, "run": "many"}]', '[{"run": {}}]',
            '{"task_id": "t"}')::jsonb,
          pg_temp.some_json(),
          case when random() < 0.3 then pg_temp.some_json() end,
          pg_temp.one_of(null, 'https://files.invalid/b', 'x'),
          pg_temp.one_of(null, 'TIMEOUT', 'odd'),
          pg_temp.one_of(null, 'odd'),
          case
            when v_status in ('completed', 'failed', 'cancelled') then pg_temp.some_time(0.5)
          end;
      exception when others then
        null;
      end;
    end loop;
    for v_entry in 1 .. floor(random() * 4)::int loop
      begin
        insert into credit_entries (user_id, job_id, step, kind, amount, balance_after)
        select
          case when random() < 0.97 then v_user else md5('by hand 2')::uuid end,
          v_id,
          case when k.kind = 'refund' and random() < 0.5 then floor(random() * 5) - 1 end,
          k.kind,
          case
            when k.kind = 'debit' then -case when random() < 0.7 then v_charged else 60 end
            else 1 + floor(random() * pg_temp.one_of('5', '20', '60', '100')::int)
          end,
          case when random() < 0.02 then 0 end
        from (select case v_entry when 1 then 'debit' else 'refund' end as kind) k;
      exception when others then
        null;
      end;
    end loop;
    -- Half of them say what their ledger says.
    if random() < 0.5 then
      begin
        update jobs j
        set credits_charged = l.debit, credits_refunded = l.refunded
        from (
          select coalesce(-sum(e.amount) filter (where e.kind = 'debit'), 0) as debit,
            coalesce(sum(e.amount) filter (where e.kind = 'refund'), 0) as refunded
          from credit_entries e
          where e.job_id = v_id
        ) l
        where j.id = v_id;
      exception when others then
        null;
      end;
    end if;
  end loop;
end
$do$;
