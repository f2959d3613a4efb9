-- Refuses an act without a reason.
create or replace function unstuck_private.refuse_without_reason(p_reason text) returns void
language plpgsql
set search_path = ''
as
$$
begin
  if coalesce(trim(p_reason), '') = '' then
    perform unstuck_private.refuse(400, 'bad_request', '{"field": "reason"}');
  end if;
end $$;

revoke all on function unstuck_private.refuse_without_reason
from public, anon, authenticated, service_role;
