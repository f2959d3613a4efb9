-- Trigger of the views under the old names for an insert by an older client, which is signed in. It
-- stores the row as a pending, unpaid job that does nothing until the client's `/run` adopts it.
-- Columns that a client must not set are ignored.
--
-- Refuses: a row of another user (42501), rate_limited (20 pending rows, or 200 rows within an hour
-- that no `/run` adopted), payload_too_large (20,000 bytes), idempotency_conflict (the id is
-- taken).
create or replace function unstuck_private.legacy_job_insert() returns trigger
language plpgsql
security definer
set search_path = ''
as
$$
declare
  v_user uuid := auth.uid();
  v_input jsonb := unstuck_private.legacy_input(to_jsonb(new));
  v_tool text;
begin
  select t.tool
  into v_tool
  from unstuck.tools t
  where t.table_name = tg_table_name;
  if v_user is null or not found or coalesce(new.user_id, v_user) <> v_user then
    raise exception 'permission denied for %', tg_table_name using errcode = '42501';
  end if;
  perform unstuck_private.account_lock(v_user);
  -- At most 20 pending rows at a time, and 200 in an hour that no `/run` adopted.
  if (
    select count(*) filter (where j.status = 'pending') >= 20 or count(*) >= 200
    from unstuck.jobs j
    where j.user_id = v_user
      and j.request_hash is null
      and j.created_at > clock_timestamp() - interval '1 hour'
  ) then
    perform unstuck_private.refuse(429, 'rate_limited');
  end if;
  if octet_length(v_input::text) > 20000 then
    perform unstuck_private.refuse(413, 'payload_too_large');
  end if;
  perform unstuck_private.act_as('client');
  begin
    insert into unstuck.jobs (id, tool, user_id, session_id, status, input)
    values (
      coalesce(new.id, gen_random_uuid()),
      v_tool,
      v_user,
      left(new.session_id, 200),
      'pending',
      v_input
    )
    returning id into new.id;
  exception when unique_violation then
    perform unstuck_private.refuse(409, 'idempotency_conflict');
  end;
  -- The client reads the row as it is stored, not as it sent it.
  new := jsonb_populate_record(new, unstuck_private.legacy_row(tg_table_name, new.id));
  return new;
end $$;

revoke all on function unstuck_private.legacy_job_insert
from public, anon, authenticated, service_role;
