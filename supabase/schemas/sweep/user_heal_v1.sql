create or replace function unstuck.user_heal_v1(p_user_id uuid)
returns table (healed int, refunded_credits bigint)
language sql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
  select unstuck_private.refuse_other_deployment();
  select unstuck_private.waiting_credits_give(p_user_id)
  where unstuck_private.credits_wait(p_user_id);
  select count(s.job_id)::int, unstuck_private.clamp_to_bigint(coalesce(sum(s.refunded), 0))
  from unstuck_private.sweep(clock_timestamp(), p_user_id, 200, interval '3 seconds') s
$$;

comment on function unstuck.user_heal_v1 is $c$
Caller: a request that was refused because of the user's own live jobs or for too few credits, and a
quote of a user for whom credits wait.

Effect: gives the user what waits, the sign-up bonus and purchases, so that it stays whatever is
refused; then heals the jobs of this user that ran out of time. The heal waits at most a second for
the user's account; if another transaction holds it for longer, nothing is healed.

Refuses: nothing.

Replay: zeros.
$c$;

revoke all on function unstuck.user_heal_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.user_heal_v1 to service_role;
