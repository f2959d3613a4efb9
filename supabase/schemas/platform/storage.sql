-- Creates the two public buckets, and the policy that lets users upload files below their own id.
-- Only reading is public, and results are written with the service key, so no other right is
-- granted. A bucket that exists keeps its settings; the policy follows `UPLOADS_BUCKET`. Where the
-- role that migrates lacks a right, the migration goes on, and a warning names the statement that
-- somebody else must send.
do $do$
declare
  v_uploads text := 'uploads';
  v_results text := 'results';
  v_uploads_limit bigint := 50 * 1024 * 1024;
  v_results_limit bigint := 512 * 1024 * 1024;
  v_types text[] := array[
    -- `image/jpg` is no registered type, but what some phones send.
    'image/png', 'image/jpeg', 'image/jpg', 'image/webp', 'image/gif', 'image/avif',
    'video/mp4', 'video/webm', 'video/quicktime'
  ];
  v_policy text;
  v_statement text;
  v_bucket record;
begin
  if not exists (
    select from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'storage' and c.relname in ('buckets', 'objects')
    having count(*) = 2
  ) then
    raise notice 'there is no schema storage: buckets and their policy are not made';
    return;
  end if;
  if to_regclass('unstuck_private.deployment') is not null then
    select coalesce(max(uploads_bucket), v_uploads), coalesce(max(results_bucket), v_results)
    into v_uploads, v_results
    from unstuck_private.deployment;
  end if;

  v_statement := format(
    'insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types) '
      || 'values (%1$L, %1$L, true, %2$s, %3$L), (%4$L, %4$L, true, %5$s, %6$L) '
      || 'on conflict do nothing',
    v_uploads, v_uploads_limit, v_types,
    v_results, v_results_limit, v_types || array['application/json']
  );
  begin
    execute v_statement;
    for v_bucket in
      select id, public
      from storage.buckets
      where id in (v_uploads, v_results) and public is not true
    loop
      raise warning 'the bucket % is there already and is not public', v_bucket.id
      using hint = format(
        'Unstuck needs it public: update storage.buckets set public = true where id = %L;',
        v_bucket.id
      );
    end loop;
  exception when syntax_error_or_access_rule_violation then
    raise warning 'Unstuck has no buckets yet: %', sqlerrm
    using hint = 'As who owns storage.buckets: ' || v_statement || ';';
  end;

  select pg_get_expr(p.polwithcheck, p.polrelid)
  into v_policy
  from pg_catalog.pg_policy p
  where p.polname = 'unstuck uploads insert'
    and p.polrelid = 'storage.objects'::regclass;
  v_statement := format(
    case when v_policy is null
      then 'create policy "unstuck uploads insert" on storage.objects for insert to authenticated '
      else 'alter policy "unstuck uploads insert" on storage.objects '
    end
      || 'with check (bucket_id = %L and (storage.foldername(name))[1] = auth.uid()::text)',
    v_uploads
  );
  begin
    if v_policy is null or position(quote_literal(v_uploads) in v_policy) = 0 then
      execute v_statement;
    end if;
  exception when syntax_error_or_access_rule_violation then
    raise warning 'users cannot upload yet, the policy is missing or of another bucket: %', sqlerrm
    using hint = 'As who owns storage.objects: ' || v_statement || ';';
  end;
end $do$;
