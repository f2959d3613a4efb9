-- Returns what a job cost, in credits. For a free retry that is the price of the order that it
-- repeats, also where it does so by way of other free retries.
create or replace function unstuck_private.price_paid(p_job unstuck.jobs) returns bigint
language sql
stable
set search_path = ''
as
$$
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
$$;

revoke all on function unstuck_private.price_paid from public, anon, authenticated, service_role;
