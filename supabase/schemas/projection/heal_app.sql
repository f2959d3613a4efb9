-- Does a pass's work for the app whose guest we are: cancels the jobs that the app has ended in its
-- own tables, until `p_until`, and lists the rows that are owed to those tables. A failure is a
-- warning and does not stop the pass.
create or replace function unstuck_private.heal_app(p_until timestamptz) returns void
language plpgsql
set search_path = ''
as
$$
begin
  begin
    perform unstuck_private.host_requests_carry_out(p_until);
  exception when others then
    raise warning 'host_requests_carry_out failed: %', sqlerrm;
  end;
  begin
    perform unstuck_private.projections_mend();
  exception when others then
    raise warning 'projections_mend failed: %', sqlerrm;
  end;
end $$;

revoke all on function unstuck_private.heal_app from public, anon, authenticated, service_role;
