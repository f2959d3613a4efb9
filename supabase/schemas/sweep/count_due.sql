-- What the healers' rules would still close, looking one page ahead.
create or replace function unstuck_private.count_due(p_now timestamptz) returns int
language sql
stable
set search_path = ''
as
$$
  select unstuck_private.count_due_of(p_now, array(
    select unnest(c.ids)
    from unnest(array['deadline', 'age']) as w (way)
    cross join lateral unstuck_private.sweep_candidates(
      p_now, w.way, null, '-infinity', '00000000-0000-0000-0000-000000000000', 1000) c
  ))
$$;

revoke all on function unstuck_private.count_due from public, anon, authenticated, service_role;
