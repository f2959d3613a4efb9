-- Returns true when the calling edge healer shall send a probe through the queues: no probe has
-- arrived for four minutes, and the last one was sent at least two minutes ago. `asked_at` keeps
-- the time of the first unanswered probe, by which health reports queues that bring nothing.
create or replace function unstuck_private.queues_ask(p_now timestamptz) returns boolean
language plpgsql
set search_path = ''
as
$$
begin
  insert into unstuck_private.healer_marks (healer)
  values ('queues')
  on conflict do nothing;
  update unstuck_private.healer_marks m
  set asked_at = coalesce(m.asked_at, p_now),
    pinged_at = p_now
  where m.ctid = any (array(
    select h.ctid
    from unstuck_private.healer_marks h
    where h.healer = 'queues'
      and coalesce(h.seen_at, '-infinity') < p_now - interval '4 minutes'
      and coalesce(h.pinged_at, '-infinity') < p_now - interval '2 minutes'
    for update skip locked
  ));
  return found;
end $$;

revoke all on function unstuck_private.queues_ask from public, anon, authenticated, service_role;
