create or replace function unstuck.files_due_v1()
returns table (kind text, user_id uuid, cursor text)
language sql
security definer
set search_path = ''
as
$$
  select unstuck_private.refuse_other_deployment();
  select k.kind, null::uuid, w.cursor
  from (
    select distinct replace(r.kind, 'abandoned_', '') as kind
    from unstuck.retention r
    where r.kind in ('uploads', 'abandoned_uploads', 'results')
      and r.keep is not null
  ) k
  left join unstuck_private.file_walks w using (kind)
  union all
  (
    select 'erased', e.user_id, null
    from unstuck.erasures e
    where e.files_left is distinct from 0
      -- A result that a worker was storing at that moment.
      or e.at > clock_timestamp() - interval '1 hour'
    -- No user whose files cannot be deleted keeps the others waiting.
    order by random()
    limit 1
  )
$$;

comment on function unstuck.files_due_v1 is $c$
Caller: cleanup-stale-generations, before it deletes files through the Storage API.

Effect: none; where to look for files in this pass. kind: uploads | results (files that are older
than their kind of `retention` is kept; from cursor on) | erased (all files of user_id, in both
buckets).

Refuses: nothing.

Replay: reads again.
$c$;

revoke all on function unstuck.files_due_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.files_due_v1 to service_role;
