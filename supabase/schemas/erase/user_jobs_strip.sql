-- Empties those jobs of an erased user that stay (`p_kept`) of everything about the user, and
-- leaves what the cancel at the provider needs. They then belong to `erased_user`, are final and
-- show no credits. No job of another user, and none that stays, refers to a job of this user any
-- more.
create or replace function unstuck_private.user_jobs_strip(p_user_id uuid, p_kept uuid[])
returns void
language plpgsql
set search_path = ''
as
$$
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
end $$;

revoke all on function unstuck_private.user_jobs_strip
from public, anon, authenticated, service_role;
