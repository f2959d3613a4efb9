-- Returns the users whose e-mail address is `p_text` in any case. Where nobody has that address and
-- the text has three or more characters, returns up to `p_limit` users whose address begins with
-- it. No row where our role cannot read `auth.users`.
create or replace function unstuck_private.users_named(p_text text, p_limit int)
returns table (user_id uuid)
language plpgsql
stable
set search_path = ''
as
$$
begin
  return query
  select u.id
  from auth.users u
  where lower(u.email) = lower(p_text);
  if not found and length(p_text) >= 3 then
    return query
    select u.id
    from auth.users u
    where starts_with(lower(u.email), lower(p_text))
    order by lower(u.email)
    limit p_limit;
  end if;
exception
  when invalid_schema_name or undefined_table or undefined_column or insufficient_privilege then
    return;
end $$;

revoke all on function unstuck_private.users_named from public, anon, authenticated, service_role;
