create or replace function unstuck.sweep_begin_v1(p_source text)
returns table (sweep_id bigint)
language sql
security definer
set search_path = ''
as
$$
  select unstuck_private.refuse_other_deployment();
  insert into unstuck.sweeps (source)
  values (p_source)
  returning id
$$;

comment on function unstuck.sweep_begin_v1 is $c$
Caller: an edge healer, before its pass.

Effect: writes the row of the pass, which later calls name by sweep_id.

Refuses: nothing.

Replay: another row: each call begins a pass.
$c$;

revoke all on function unstuck.sweep_begin_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.sweep_begin_v1 to service_role;
