-- What the app of websites has: money in hundredths, and what hangs. `what`, `rows`, `credits`.
select
  'balances in teams' as what,
  count(*) as rows,
  sum(100 * balance) as credits
from public.teams
union all
select 'movements in credit_transactions', count(*), sum(100 * amount)
from public.credit_transactions
union all
select 'generation_history that hangs, with its price', count(*), sum(100 * sale_price)
from public.generation_history
where status in ('pending', 'generating')
  and created_at < now() - interval '1 hour'
order by 1
