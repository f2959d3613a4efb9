create or replace function unstuck_private.orphans_cancel(p_ids uuid[]) returns void
language sql
set search_path = ''
as
$$
  select count(*) from unstuck_private.jobs_close(p_ids, array_fill('cancelled'::text, array[cardinality(p_ids)]),
    array_fill('ORPHANED'::text, array[cardinality(p_ids)]), array_fill('never started; nothing was charged.'::text, array[cardinality(p_ids)]))
$$;

revoke all on function unstuck_private.orphans_cancel from public, anon, authenticated, service_role;
