-- Records in `admin_log` that an admin erased a user, with what there was (`p_was`). A repeated
-- erasure that found nothing more is not recorded a second time. The row of `erasures` makes the
-- cleanup delete the user's files; a repeated erasure has it look for files once more.
create or replace function unstuck_private.erasure_record(
  p_actor uuid,
  p_user_id uuid,
  p_was jsonb,
  p_reason text
)
returns void
language sql
set search_path = ''
as
$$
  insert into unstuck.admin_log (actor, act, subject, "from", reason)
  select p_actor, 'user_erase', p_user_id::text, p_was, p_reason
  where p_was ->> 'jobs' <> '0'
    or p_was ->> 'entries' <> '0'
    or not exists (
      select
      from unstuck.erasures e
      where e.user_id = p_user_id
    );

  insert into unstuck.erasures (user_id)
  values (p_user_id)
  on conflict (user_id) do update
  set
    at = clock_timestamp(),
    files_left = null
$$;

revoke all on function unstuck_private.erasure_record
from public, anon, authenticated, service_role;
