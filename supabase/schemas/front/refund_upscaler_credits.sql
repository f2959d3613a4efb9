-- The old name in `public`, only where nothing else has it.
do $do$
begin
  if not unstuck_private.is_name_free('refund_upscaler_credits') then
    return;
  end if;
  create function public.refund_upscaler_credits(_user_id uuid, _amount bigint, _description text)
  returns table (success boolean, new_balance bigint, error_message text)
  language sql
  set search_path = ''
  as $fn$
    select *
    from unstuck.refund_upscaler_credits(_user_id, _amount, _description)
  $fn$;
  comment on function public.refund_upscaler_credits
  is 'Unstuck front of unstuck.refund_upscaler_credits.';
  revoke all on function public.refund_upscaler_credits
  from public, anon, authenticated, service_role;
  grant execute on function public.refund_upscaler_credits to service_role;
end $do$;
