-- Returns the buckets, the policy of uploads and the row security of `storage.objects` as they are
-- now; null where there is no storage or our role cannot read it.
create or replace function unstuck_private.storage_state() returns jsonb
language plpgsql
stable
set search_path = ''
as
$$
declare
  v_state jsonb;
begin
  if to_regclass('storage.buckets') is null or to_regclass('storage.objects') is null then
    return null;
  end if;
  execute $q$
    select jsonb_build_object('buckets', coalesce(jsonb_agg(jsonb_build_object(
      'id', b.id,
      'public', b.public,
      'bytes_max', b.file_size_limit,
      'types', b.allowed_mime_types
    ) order by b.id), '[]'))
    from storage.buckets b
  $q$
  into v_state;
  return v_state || jsonb_build_object(
    'row_security', (
      select c.relrowsecurity
      from pg_catalog.pg_class c
      where c.oid = 'storage.objects'::regclass
    ),
    'upload_policy', (
      select p.with_check
      from pg_catalog.pg_policies p
      where p.schemaname = 'storage'
        and p.tablename = 'objects'
        and p.policyname = 'unstuck uploads insert'
        and p.cmd = 'INSERT'
        and p.permissive = 'PERMISSIVE'
    )
  );
exception when insufficient_privilege then
  return null;
end $$;

revoke all on function unstuck_private.storage_state from public, anon, authenticated, service_role;
