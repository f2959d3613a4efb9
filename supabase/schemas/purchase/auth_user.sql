-- Returns the user with the id `p_user_id` or, where that is null, the user whose confirmed e-mail
-- address is `p_email` in any case. `confirmed_email` is in lower case. Where nobody is found the
-- columns are null; where our role cannot read `auth.users`, `is_readable` is false too.
create or replace function unstuck_private.auth_user(
  p_user_id uuid,
  p_email text,
  out is_readable boolean,
  out user_id uuid,
  out confirmed_email text,
  out created_at timestamptz
)
language plpgsql
stable
set search_path = ''
as
$$
begin
  if p_user_id is not null then
    select u.id, case when u.email_confirmed_at is not null then lower(u.email) end, u.created_at
    into user_id, confirmed_email, created_at
    from auth.users u
    where u.id = p_user_id;
  elsif p_email is not null then
    select u.id, lower(u.email), u.created_at
    into user_id, confirmed_email, created_at
    from auth.users u
    where lower(u.email) = lower(p_email)
      and u.email_confirmed_at is not null
    order by u.created_at, u.id
    limit 1;
  end if;
  is_readable := true;
exception
  when invalid_schema_name or undefined_table or undefined_column or insufficient_privilege then
    is_readable := false;
end $$;

revoke all on function unstuck_private.auth_user from public, anon, authenticated, service_role;
