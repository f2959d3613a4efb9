-- Refuses a call: PostgREST turns SQLSTATE PTxyz into the HTTP status xyz. The message is the API's
-- error code, the detail its extra fields as JSON.
create or replace function unstuck_private.refuse(
  p_status int,
  p_code text,
  p_fields jsonb default '{}'
)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  raise exception using
    errcode = 'PT' || p_status,
    message = p_code,
    detail = p_fields::text;
end $$;

revoke all on function unstuck_private.refuse from public, anon, authenticated, service_role;
