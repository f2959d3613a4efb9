-- Locks up to `p_limit` steps that were sent to an asynchronous provider and are due, for
-- `steps_reserve`, and returns their keys, what is due and whether the deadline has passed:
--   copy   the provider finished, and no worker copies the result,
--   inbox  sent without an answer: its webhooks may name the task,
--   query  the provider has the task, and was not queried for a while.
-- Overdue steps come first, then those that were queried longest ago; what another transaction has
-- locked is skipped.
--
-- A step past its deadline is queried once at once, and then every five seconds. Before its
-- deadline a step whose task is known is always due with `p_all`, and else every `check_every`.
-- Where webhooks are signed, the checker queries each minute; every healer does after three minutes
-- without it, because a webhook may be lost.
create or replace function unstuck_private.steps_due_at_provider(
  p_provider unstuck.providers,
  p_now timestamptz,
  p_all boolean,
  p_limit int
)
returns jsonb
language plpgsql
set search_path = ''
as
$$
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
end $$;

revoke all on function unstuck_private.steps_due_at_provider
from public, anon, authenticated, service_role;
