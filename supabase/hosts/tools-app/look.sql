-- What the app of tools has: money, and what hangs. `what`, `rows`, `credits`.
select
  'balances in upscaler_credits' as what,
  count(*) as rows,
  sum(balance)::numeric as credits
from public.upscaler_credits
union all
select 'movements in upscaler_credit_transactions', count(*), sum(amount)
from public.upscaler_credit_transactions
union all
select
  j.name || ' that hang, with credits to return',
  count(*),
  sum(j.user_credit_cost) filter (where j.credits_charged and not j.credits_refunded)
from (
  select 'upscaler_jobs' as name, user_credit_cost, credits_charged,
    coalesce(credits_refunded, false) as credits_refunded, status, started_at, created_at, id
  from public.upscaler_jobs
  union all
  select 'video_upscaler_jobs', user_credit_cost, credits_charged,
    coalesce(credits_refunded, false), status, started_at, created_at, id
  from public.video_upscaler_jobs
  union all
  select 'pose_changer_jobs', user_credit_cost, credits_charged,
    coalesce(credits_refunded, false), status, started_at, created_at, id
  from public.pose_changer_jobs
  union all
  select 'veste_ai_jobs', user_credit_cost, credits_charged,
    coalesce(credits_refunded, false), status, started_at, created_at, id
  from public.veste_ai_jobs
) as j
where j.status in ('pending', 'queued', 'starting', 'running')
  and coalesce(j.started_at, j.created_at) < now() - interval '1 hour'
group by j.name
order by 1
