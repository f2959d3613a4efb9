-- The old name in `public`, only where nothing else has it.
do $do$
begin
  if not unstuck_private.is_name_free('credit_grant_v1') then
    return;
  end if;
  create function public.credit_grant_v1(
    p_user_id uuid,
    p_amount bigint,
    p_reason text,
    p_idempotency_key text
  )
  returns table (balance bigint, replayed boolean)
  language sql
  set search_path = ''
  as $fn$
    select *
    from unstuck.credit_grant_v1(p_user_id, p_amount, p_reason, p_idempotency_key)
  $fn$;
  comment on function public.credit_grant_v1 is 'Unstuck front of unstuck.credit_grant_v1.';
  revoke all on function public.credit_grant_v1 from public, anon, authenticated, service_role;
  grant execute on function public.credit_grant_v1 to service_role;
end $do$;
