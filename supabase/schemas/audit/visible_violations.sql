-- Returns the rows of the view `invariant_violations` to those who may see the rows of all users
-- (`may_see`); nobody else gets a row.
create or replace function unstuck_private.visible_violations()
returns table (invariant text, subject text, detail text)
language plpgsql
stable
security definer
set search_path = ''
as
$$
begin
  if unstuck_private.may_see(null) then
    return query
    select o.invariant, o.subject, o.detail
    from unstuck_private.violations() o;
  end if;
end $$;

revoke all on function unstuck_private.visible_violations
from public, anon, authenticated, service_role;
grant execute on function unstuck_private.visible_violations to authenticated, service_role;
