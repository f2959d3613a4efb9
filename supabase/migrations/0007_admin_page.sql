-- 0007_admin_page.sql
-- Made by `cargo xtask migration admin_page`
-- from supabase/schemas, in the order in which things can be created. Do not edit it: change the
-- sources. It is applied once, whole or not at all.

begin;

do $applied$
begin
  if exists (select from unstuck_private.migrations where number = 7) then
    raise exception 'unstuck migration 0007 is applied already';
  end if;
  if not exists (select from unstuck_private.migrations where number = 6) then
    raise exception 'unstuck migration 0006 must be applied before 0007';
  end if;
end
$applied$;

-- A function may name an object that is created below it.
set local check_function_bodies = off;
-- While this waits for a table, everybody else waits behind it: fail and retry instead.
set local lock_timeout = '5s';

-- written by hand
create index credit_entries_by_day on unstuck.credit_entries
using brin (created_at);

--: source credit/credit_entries.sql 2b73c8695910 by hand

--: source view/visible_failures.sql bb398f94c28c
-- The rows of `provider_failures`, for those who may see them.
create or replace function unstuck_private.visible_failures()
returns table (
  provider text,
  error_code text,
  failures bigint,
  last_at timestamptz,
  last_job_id uuid,
  last_message text
)
language sql
stable
security definer
set search_path = ''
as
$$
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
$$;

revoke all on function unstuck_private.visible_failures
from public, anon, authenticated, service_role;
grant execute on function unstuck_private.visible_failures to authenticated, service_role;

--: source view/visible_money.sql ac7b91285785
-- The rows of `money_by_day`, for those who may see them.
create or replace function unstuck_private.visible_money()
returns table (day date, kind text, tool text, entries bigint, credits bigint)
language sql
stable
security definer
set search_path = ''
as
$$
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
$$;

revoke all on function unstuck_private.visible_money from public, anon, authenticated, service_role;
grant execute on function unstuck_private.visible_money to authenticated, service_role;

--: source view/visible_outcomes.sql 3d0125153f65
-- The rows of `provider_outcomes`, for those who may see them.
create or replace function unstuck_private.visible_outcomes()
returns table (
  provider text,
  tool text,
  completed bigint,
  failed bigint,
  p50_seconds double precision,
  p95_seconds double precision
)
language sql
stable
security definer
set search_path = ''
as
$$
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
$$;

revoke all on function unstuck_private.visible_outcomes
from public, anon, authenticated, service_role;
grant execute on function unstuck_private.visible_outcomes to authenticated, service_role;

--: source view/money_by_day.sql 39979cb5094a
create view unstuck.money_by_day
with (security_invoker = true) as
select m.day, m.kind, m.tool, m.entries, m.credits
from unstuck_private.visible_money() m;

comment on view unstuck.money_by_day is $c$
What moved in the ledger in the last 62 days of UTC: a row per day, kind of entry and tool, for the
service and admins. Entries without a job have no tool.
$c$;

revoke all on unstuck.money_by_day from public, anon, authenticated, service_role;
grant select on unstuck.money_by_day to authenticated, service_role;

--: source view/provider_failures.sql 30669b04e0a9
create view unstuck.provider_failures
with (security_invoker = true) as
select
  f.provider,
  f.error_code,
  f.failures,
  f.last_at,
  f.last_job_id,
  f.last_message
from unstuck_private.visible_failures() f;

comment on view unstuck.provider_failures is $c$
Why steps failed in the last 24 hours: a row per provider and code, with how often and the newest of
them. For the service and admins.
$c$;

revoke all on unstuck.provider_failures from public, anon, authenticated, service_role;
grant select on unstuck.provider_failures to authenticated, service_role;

--: source view/provider_outcomes.sql cddee2e37c1b
create view unstuck.provider_outcomes
with (security_invoker = true) as
select o.provider, o.tool, o.completed, o.failed, o.p50_seconds, o.p95_seconds
from unstuck_private.visible_outcomes() o;

comment on view unstuck.provider_outcomes is $c$
How the steps of the last 24 hours ended, and how long the completed ones took at the provider: a
row per provider and tool, and one per provider whose tool is null. For the service and admins.
$c$;

revoke all on unstuck.provider_outcomes from public, anon, authenticated, service_role;
grant select on unstuck.provider_outcomes to authenticated, service_role;

--: history
insert into unstuck_private.migrations (number, name, hash)
values (
  7,
  'admin_page',
  '641622d45cd776f01ac3063225fa7ee7f38f171f05bfcb4354410b96cb2d4808'
);

notify pgrst, 'reload schema';

commit;

-- pg_cron overlooks a schedule among so many changes: change it once more, alone.
do $scheduled$
declare
  v_job bigint;
begin
  select j.jobid
  into v_job
  from cron.job j
  where j.command = 'select unstuck.cleanup_all_stale_ai_jobs()';
  if found then
    perform pg_sleep(2.5);
    perform cron.alter_job(v_job, schedule => '* * * * *');
  end if;
exception when undefined_table or undefined_function or insufficient_privilege then
  null;
end $scheduled$;
