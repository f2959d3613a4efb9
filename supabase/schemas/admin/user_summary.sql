-- A user as the admin's page lists them.
create or replace function unstuck_private.user_summary(p_user_id uuid) returns jsonb
language sql
stable
set search_path = ''
as
$$
  select jsonb_build_object(
    'userId', p_user_id,
    'email', unstuck_private.auth_email(p_user_id),
    'balance', unstuck_private.balance_shown(p_user_id, null),
    'debt', coalesce((
      select sum(d.amount - d.settled)
      from unstuck.credit_debts d
      where d.user_id = p_user_id and d.amount > d.settled
    ), 0),
    'liveJobs', (
      select count(*)
      from unstuck.jobs j
      where j.user_id = p_user_id and unstuck_private.is_live(j.status)
    ),
    'createdAt', (unstuck_private.auth_user(p_user_id, null)).created_at
  )
$$;

revoke all on function unstuck_private.user_summary from public, anon, authenticated, service_role;
