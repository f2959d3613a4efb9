-- Returns the rows of the view `money_by_day` to those who may see the rows of all users
-- (`may_see`); nobody else gets a row.
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
