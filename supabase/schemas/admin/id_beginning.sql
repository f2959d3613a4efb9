-- Returns the digits of a UUID, or of the first four or more of its digits, in lower case and
-- without hyphens; null for any other text.
create or replace function unstuck_private.id_beginning(p_text text) returns text
language sql
immutable
set search_path = ''
as
$$
  select case
    when p_text ~* '^[0-9a-f-]{4,36}$' and length(replace(p_text, '-', '')) between 4 and 32
      then lower(replace(p_text, '-', ''))
  end
$$;

revoke all on function unstuck_private.id_beginning from public, anon, authenticated, service_role;
