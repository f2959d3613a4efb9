-- What the app of cards has: money, and what hangs. `what`, `rows`, `credits`.
select
  'balances in profiles' as what,
  count(*) as rows,
  sum(tokens_balance)::numeric as credits
from public.profiles
union all
select 'movements in token_transactions', count(*), sum(amount)
from public.token_transactions
union all
select 'generation_jobs that hang, with their price', count(*), sum(tokens_cost)
from public.generation_jobs
where status in ('pending', 'processing')
  and coalesce(started_at, created_at) < now() - interval '1 hour'
order by 1
