create or replace function unstuck.admin_log_read_v1(
  p_actor uuid,
  p_before bigint default null,
  p_subject text default null,
  p_act text default null,
  p_limit int default 100
)
returns table (
  id bigint,
  at timestamptz,
  actor uuid,
  act text,
  subject text,
  "from" jsonb,
  "to" jsonb,
  reason text
)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, null);
  return query
  select l.id, l.at, l.actor, l.act, l.subject, l."from", l."to", l.reason
  from unstuck.admin_log l
  where l.id < coalesce(p_before, 9223372036854775807)
    and (nullif(p_subject, '') is null or l.subject = p_subject)
    and (nullif(p_act, '') is null or l.act = p_act)
  order by l.id desc
  limit least(greatest(p_limit, 1), 500);
end $$;

comment on function unstuck.admin_log_read_v1 is $c$
Caller: admin-settings. The role of p_actor is read in the same transaction.

Effect: none. The newest rows of admin_log before p_before, of one subject or of one act.

Refuses: forbidden.

Replay: reads again.
$c$;

revoke all on function unstuck.admin_log_read_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.admin_log_read_v1 to service_role;
