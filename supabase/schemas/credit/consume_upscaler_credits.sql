create or replace function unstuck.consume_upscaler_credits(
  _user_id uuid,
  _amount bigint,
  _description text
)
returns table (success boolean, new_balance bigint, error_message text)
language sql
security definer
set search_path = ''
as
$$
  select unstuck_private.refuse_other_deployment();
  select a.success, a.new_balance, a.error_message
  from unstuck_private.credit_adjust(_user_id, -greatest(_amount, 0), _description) a
$$;

comment on function unstuck.consume_upscaler_credits is $c$
Caller: older back-end code, as the service.

Effect: takes the amount from the user's balance by an adjustment that belongs to no job.

Refuses: by success = false and error_message: an amount that is not positive, a balance that is too
low.

Replay: takes the amount once more; the function has no idempotency key.
$c$;

revoke all on function unstuck.consume_upscaler_credits
from public, anon, authenticated, service_role;
grant execute on function unstuck.consume_upscaler_credits to service_role;
