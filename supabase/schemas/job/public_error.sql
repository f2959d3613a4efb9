-- Returns an error as the API shows it, `{code, message}`, where the message does not begin with
-- the code; null where there is no code.
create or replace function unstuck_private.public_error(p_code text, p_message text) returns jsonb
language sql
immutable
as
$$
  select case
    when p_code is not null then jsonb_build_object(
      'code', p_code,
      'message', regexp_replace(coalesce(p_message, p_code), '^' || p_code || ': ?', '')
    )
  end
$$;

revoke all on function unstuck_private.public_error from public, anon, authenticated, service_role;
