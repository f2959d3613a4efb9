create or replace function unstuck.files_deleted_v1(
  p_kind text,
  p_deleted int,
  p_left int,
  p_user_id uuid default null,
  p_cursor text default null,
  p_error text default null
)
returns void
language sql
security definer
set search_path = ''
as
$$
  select unstuck_private.refuse_other_deployment();
  insert into unstuck_private.file_walks as w (kind, cursor)
  select p_kind, p_cursor
  where p_user_id is null
  on conflict (kind) do update
  set cursor = excluded.cursor;
  update unstuck.erasures e
  set
    files_left = case
      when p_error is null then p_left
      -- Some were not counted: at least these are left, and none left is not known.
      else coalesce(nullif(p_left, 0), nullif(e.files_left, 0))
    end
  where e.user_id = p_user_id;
  insert into unstuck_private.retention_progress as p (kind, pruned, pruned_at, error, error_at)
  select
    p_kind,
    p_deleted,
    case when p_deleted > 0 then clock_timestamp() end,
    p_error,
    case when p_error is not null then clock_timestamp() end
  where p_deleted > 0
    or p_error is not null
  on conflict (kind) do update
  set
    pruned = p.pruned + excluded.pruned,
    pruned_at = coalesce(excluded.pruned_at, p.pruned_at),
    error = coalesce(excluded.error, p.error),
    error_at = coalesce(excluded.error_at, p.error_at);
$$;

comment on function unstuck.files_deleted_v1 is $c$
Caller: cleanup-stale-generations, after it deleted files of one kind.

Effect: records how many went and the last error, and where the walk goes on (p_cursor). Of an
erased user it records how many files are left, as far as they were listed; with an error, never
that none is.

Refuses: nothing.

Replay: counts the deleted files twice.
$c$;

revoke all on function unstuck.files_deleted_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.files_deleted_v1 to service_role;
