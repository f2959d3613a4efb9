-- Records that a healer was seen at `p_at`, and that it owes no answer to a probe. It does not wait
-- for the row: a transaction that has locked it records the same.
create or replace function unstuck_private.healer_mark(p_healer text, p_at timestamptz)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  insert into unstuck_private.healer_marks (healer)
  values (p_healer)
  on conflict do nothing;

  update unstuck_private.healer_marks m
  set seen_at = greatest(m.seen_at, p_at),
    asked_at = null
  where m.ctid = any (array(
    select h.ctid
    from unstuck_private.healer_marks h
    where h.healer = p_healer
    for update skip locked
  ));
end $$;

revoke all on function unstuck_private.healer_mark from public, anon, authenticated, service_role;
