-- Prints everything in this database's catalog that is not Unstuck's, sorted, one line of text
-- each: what an installation must leave as it was. Run it before an installation and after it, and
-- compare: the two differ only by the lines of exceptions.txt. It reads the catalog, the buckets
-- and pg_cron's jobs, and no rows of other tables. The second statement returns the lines.
--
-- A line is `kind | name | description`. A long text is replaced by its md5.

set search_path = '';

with
-- Our fronts in `public`: a line each, without their parts.
front as (
  select d.classoid, d.objoid, d.description
  from pg_catalog.pg_description d
  where d.objsubid = 0
    and d.description like 'Unstuck front of %'
),
schema_in as (
  select oid, nspname, nspowner, nspacl
  from pg_catalog.pg_namespace
  where nspname not in ('unstuck', 'unstuck_private', 'information_schema')
    and nspname not like 'pg\_%'
),
relation_in as (
  select c.*, format('%I.%I', n.nspname, c.relname) as name
  from pg_catalog.pg_class c
  join schema_in n on n.oid = c.relnamespace
  where (c.tableoid, c.oid) not in (select classoid, objoid from front)
),
routine_in as (
  select p.*, p.oid::pg_catalog.regprocedure::text as name
  from pg_catalog.pg_proc p
  join schema_in n on n.oid = p.pronamespace
  where (p.tableoid, p.oid) not in (select classoid, objoid from front)
),
type_in as (
  select t.*, format('%I.%I', n.nspname, t.typname) as name
  from pg_catalog.pg_type t
  join schema_in n on n.oid = t.typnamespace
  where t.typrelid = 0
    and t.typelem = 0
    and (t.tableoid, t.oid) not in (select classoid, objoid from front)
),
-- Rights as a sorted list; `default` where no right was ever granted or revoked.
rights as (
  select class, id, part, string_agg(acl::text, ',' order by acl::text collate "C") as list
  from (
    select 'schema' as class, oid as id, 0 as part, unnest(nspacl) as acl
    from schema_in
    union all
    select 'relation', oid, 0, unnest(relacl)
    from relation_in
    union all
    select 'relation', a.attrelid, a.attnum, unnest(a.attacl)
    from pg_catalog.pg_attribute a
    join relation_in r on r.oid = a.attrelid
    union all
    select 'routine', oid, 0, unnest(proacl)
    from routine_in
    union all
    select 'type', oid, 0, unnest(typacl)
    from type_in
    union all
    select 'default', oid, 0, unnest(defaclacl)
    from pg_catalog.pg_default_acl
    union all
    select 'database', oid, 0, unnest(datacl)
    from pg_catalog.pg_database
  ) as each
  group by class, id, part
),
entry (kind, name, description) as (
  select 'schema', quote_ident(n.nspname),
    format('owner %s, rights %s', n.nspowner::regrole, coalesce(r.list, 'default'))
  from schema_in n
  left join rights r on (r.class, r.id, r.part) = ('schema', n.oid, 0)

  union all
  select 'relation', c.name,
    format(
      'kind %s, owner %s, rights %s, row security %s%s, replica identity %s, options %s%s%s',
      c.relkind, c.relowner::regrole, coalesce(r.list, 'default'), c.relrowsecurity,
      case when c.relforcerowsecurity then ' forced' end, c.relreplident,
      coalesce(c.reloptions::text, '{}'),
      case when c.relpersistence <> 'p' then ', persistence ' || c.relpersistence::text end,
      case when c.relispartition then ', ' || pg_get_expr(c.relpartbound, c.oid) end
    )
  from relation_in c
  left join rights r on (r.class, r.id, r.part) = ('relation', c.oid, 0)
  where c.relkind not in ('i', 'I')

  union all
  select 'column', format('%s.%I', c.name, a.attname),
    format(
      '%s%s%s%s%s, storage %s%s%s',
      format_type(a.atttypid, a.atttypmod),
      case when a.attnotnull then ' not null' end,
      case when a.attgenerated = '' then ' default ' else ' generated ' end
        || pg_get_expr(d.adbin, d.adrelid),
      nullif(' identity ' || a.attidentity::text, ' identity '),
      ' rights ' || r.list,
      a.attstorage, nullif(a.attcompression::text, ''),
      ' options ' || a.attoptions::text
    )
  from relation_in c
  join pg_catalog.pg_attribute a on a.attrelid = c.oid
  left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  left join rights r on (r.class, r.id, r.part) = ('relation', c.oid, a.attnum)
  where a.attnum > 0
    and not a.attisdropped
    and c.relkind in ('r', 'p', 'v', 'm', 'f', 'c')

  union all
  select 'definition', c.name,
    regexp_replace(pg_get_viewdef(c.oid), '\s+', ' ', 'g')
  from relation_in c
  where c.relkind in ('v', 'm')

  union all
  select 'constraint', format('%I on %s', k.conname, coalesce(c.name, t.name)),
    format(
      '%s%s', pg_get_constraintdef(k.oid), case when not k.convalidated then ' not valid' end
    )
  from pg_catalog.pg_constraint k
  left join relation_in c on c.oid = k.conrelid
  left join type_in t on t.oid = k.contypid
  where coalesce(c.oid, t.oid) is not null

  union all
  select 'index', c.name,
    format(
      '%s, valid %s, replica identity %s, clustered %s', pg_get_indexdef(i.indexrelid),
      i.indisvalid, i.indisreplident, i.indisclustered
    )
  from pg_catalog.pg_index i
  join relation_in c on c.oid = i.indexrelid

  union all
  select 'sequence', c.name,
    format(
      '%s from %s by %s, %s to %s, cache %s, cycle %s', format_type(s.seqtypid, null),
      s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle
    )
  from pg_catalog.pg_sequence s
  join relation_in c on c.oid = s.seqrelid

  union all
  select 'inheritance', c.name, 'of ' || i.inhparent::regclass::text
  from pg_catalog.pg_inherits i
  join relation_in c on c.oid = i.inhrelid

  union all
  select 'routine', p.name,
    format(
      'kind %s, returns %s, arguments %s, owner %s, rights %s, %s%s%s%s%s, cost %s, text %s%s',
      p.prokind, p.prorettype::regtype, md5(pg_get_function_arguments(p.oid)),
      p.proowner::regrole, coalesce(r.list, 'default'), l.lanname, ' ' || p.provolatile::text,
      p.proparallel, case when p.prosecdef then ' security definer' end,
      case when p.proisstrict then ' strict' end, p.procost,
      md5(coalesce(p.prosrc, '') || coalesce(p.probin, '') || coalesce(p.prosqlbody::text, '')),
      ', settings ' || p.proconfig::text
    )
  from routine_in p
  join pg_catalog.pg_language l on l.oid = p.prolang
  left join rights r on (r.class, r.id, r.part) = ('routine', p.oid, 0)

  union all
  select 'type', t.name,
    format(
      'kind %s, owner %s, rights %s%s%s', t.typtype, t.typowner::regrole,
      coalesce(r.list, 'default'),
      (
        select ', values ' || string_agg(quote_literal(e.enumlabel), ' ' order by e.enumsortorder)
        from pg_catalog.pg_enum e
        where e.enumtypid = t.oid
      ),
      case
        when t.typtype = 'd' then format(
          ', of %s%s%s', format_type(t.typbasetype, t.typtypmod),
          case when t.typnotnull then ' not null' end, ' default ' || t.typdefault
        )
      end
    )
  from type_in t
  left join rights r on (r.class, r.id, r.part) = ('type', t.oid, 0)

  union all
  select case when g.tgisinternal then 'trigger of a foreign key' else 'trigger' end,
    format(
      '%s on %s', coalesce(k.conrelid::regclass::text || ' ' || k.conname, quote_ident(g.tgname)),
      c.name
    ),
    format(
      '%s enabled %s', case
        when g.tgisinternal then g.tgfoid::regproc::text || ' ' || g.tgtype
        else pg_get_triggerdef(g.oid)
      end, g.tgenabled
    )
  from pg_catalog.pg_trigger g
  join relation_in c on c.oid = g.tgrelid
  left join pg_catalog.pg_constraint k on k.oid = g.tgconstraint

  union all
  select 'policy', format('%I on %s', p.polname, c.name),
    format(
      '%s for %s to %s using (%s) check (%s)',
      case when p.polpermissive then 'permissive' else 'restrictive' end, p.polcmd,
      (
        select string_agg(case role when 0 then 'public' else role::regrole::text end, ',')
        from unnest(p.polroles) as role
      ),
      pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
    )
  from pg_catalog.pg_policy p
  join relation_in c on c.oid = p.polrelid

  union all
  select 'rule', format('%I on %s', w.rulename, c.name),
    md5(pg_get_ruledef(w.oid)) || ' enabled ' || w.ev_enabled::text
  from pg_catalog.pg_rewrite w
  join relation_in c on c.oid = w.ev_class
  where w.rulename <> '_RETURN'

  union all
  select 'default rights',
    format(
      'of %s on %s in %s', a.defaclrole::regrole, a.defaclobjtype,
      coalesce(quote_ident(n.nspname), 'every schema')
    ),
    coalesce(r.list, 'none')
  from pg_catalog.pg_default_acl a
  left join pg_catalog.pg_namespace n on n.oid = a.defaclnamespace
  left join rights r on (r.class, r.id, r.part) = ('default', a.oid, 0)
  where coalesce(n.nspname, '') not in ('unstuck', 'unstuck_private')

  union all
  select 'publication', quote_ident(p.pubname),
    format(
      'owner %s, all tables %s, insert %s, update %s, delete %s, truncate %s, via root %s',
      p.pubowner::regrole, p.puballtables, p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate,
      p.pubviaroot
    )
  from pg_catalog.pg_publication p

  union all
  select 'published table', format('%s in %I', p.prrelid::regclass, b.pubname),
    format('columns %s where %s', p.prattrs, pg_get_expr(p.prqual, p.prrelid))
  from pg_catalog.pg_publication_rel p
  join pg_catalog.pg_publication b on b.oid = p.prpubid

  union all
  select 'published schema', format('%s in %I', p.pnnspid::regnamespace, b.pubname), ''
  from pg_catalog.pg_publication_namespace p
  join pg_catalog.pg_publication b on b.oid = p.pnpubid

  union all
  select 'extension', quote_ident(e.extname),
    format('%s in %s, owner %s', e.extversion, e.extnamespace::regnamespace, e.extowner::regrole)
  from pg_catalog.pg_extension e

  union all
  select 'event trigger', quote_ident(e.evtname),
    format(
      'on %s calls %s, owner %s, enabled %s, tags %s', e.evtevent, e.evtfoid::regproc,
      e.evtowner::regrole, e.evtenabled, e.evttags
    )
  from pg_catalog.pg_event_trigger e

  union all
  select 'database', 'this one',
    format('owner %s, rights %s', d.datdba::regrole, coalesce(r.list, 'default'))
  from pg_catalog.pg_database d
  left join rights r on (r.class, r.id, r.part) = ('database', d.oid, 0)
  where d.datname = current_database()

  union all
  select 'role', quote_ident(o.rolname),
    format(
      'superuser %s, inherit %s, createrole %s, createdb %s, login %s, replication %s, bypass %s',
      o.rolsuper, o.rolinherit, o.rolcreaterole, o.rolcreatedb, o.rolcanlogin,
      o.rolreplication, o.rolbypassrls
    )
  from pg_catalog.pg_roles o
  where o.rolname not like 'pg\_%'

  union all
  select 'member', format('%s of %s', m.member::regrole, m.roleid::regrole),
    format('by %s, admin %s', m.grantor::regrole, m.admin_option)
  from pg_catalog.pg_auth_members m

  union all
  select 'setting',
    format(
      'of %s in %s', case s.setrole when 0 then 'every role' else s.setrole::regrole::text end,
      case s.setdatabase when 0 then 'every database' else 'this database' end
    ),
    s.setconfig::text
  from pg_catalog.pg_db_role_setting s
  join pg_catalog.pg_database d on d.datname = current_database()
  where s.setdatabase in (0, d.oid)

  union all
  select 'comment', o.type || ' ' || o.identity,
    md5(d.description) || ' ' || left(d.description, 60)
  from pg_catalog.pg_description d
  cross join lateral pg_identify_object(d.classoid, d.objoid, d.objsubid) as o
  where d.objoid >= 16384
    and d.description not like 'Unstuck front of %'
    and coalesce(o.schema, '') not in ('unstuck', 'unstuck_private')
    and o.identity !~ '^(unstuck|unstuck_private)$'
    and o.identity !~ ' on (unstuck|unstuck_private)\.'

  union all
  select 'front', o.type || ' ' || o.identity, f.description
  from front f
  cross join lateral pg_identify_object(f.classoid, f.objoid, 0) as o

  -- Two tables of other extensions count as catalog: buckets, and what pg_cron runs.
  union all
  select 'bucket', b.id, format('public %s, at most %s', b.public, b.size)
  from xmltable(
    '/table/row' passing case
      when to_regclass('storage.buckets') is not null then query_to_xml(
        'select id, public, file_size_limit as size from storage.buckets', false, false, ''
      )
    end
    columns id text, public text, size text
  ) as b
  union all
  select 'cron job', coalesce(j.jobname, j.command),
    format('%s at %s as %s, active %s', j.command, j.schedule, j.username, j.active)
  from xmltable(
    '/table/row' passing case
      when to_regclass('cron.job') is not null then query_to_xml(
        'select jobname, command, schedule, username, active from cron.job', false, false, ''
      )
    end
    columns jobname text, command text, schedule text, username text, active text
  ) as j

  union all
  select 'label', o.type || ' ' || o.identity, s.provider || ' ' || s.label
  from pg_catalog.pg_seclabel s
  cross join lateral pg_identify_object(s.classoid, s.objoid, s.objsubid) as o

  -- Kinds that apps seldom have: the md5 of the whole row.
  union all
  select o.type, o.identity, md5(rare.description)
  from (
    select tableoid, oid, t::text as description
    from pg_catalog.pg_operator t
    union all
    select tableoid, oid, t::text
    from pg_catalog.pg_opclass t
    union all
    select tableoid, oid, t::text
    from pg_catalog.pg_opfamily t
    union all
    select tableoid, oid, t::text
    from pg_catalog.pg_cast t
    union all
    select tableoid, oid, t::text
    from pg_catalog.pg_collation t
    union all
    select tableoid, oid, t::text
    from pg_catalog.pg_conversion t
    union all
    select tableoid, oid, t::text
    from pg_catalog.pg_language t
    union all
    select tableoid, oid, t::text
    from pg_catalog.pg_statistic_ext t
    union all
    select tableoid, oid, t::text
    from pg_catalog.pg_ts_config t
    union all
    select tableoid, oid, t::text
    from pg_catalog.pg_ts_dict t
    union all
    select tableoid, oid, t::text
    from pg_catalog.pg_foreign_data_wrapper t
    union all
    select tableoid, oid, t::text
    from pg_catalog.pg_foreign_server t
    union all
    select tableoid, oid, t::text
    from pg_catalog.pg_am t
    union all
    select tableoid, oid, t::text
    from pg_catalog.pg_transform t
    union all
    select tableoid, oid, t::text
    from pg_catalog.pg_largeobject_metadata t
  ) as rare
  cross join lateral pg_identify_object(rare.tableoid, rare.oid, 0) as o
  where rare.oid >= 16384
    and coalesce(o.schema, '') not in ('unstuck', 'unstuck_private')

  -- Postgres' own schemas: who may do what in them, as one line each.
  union all
  select 'system', 'relations', md5(string_agg(c.oid::text || c.relacl::text, ',' order by c.oid))
  from pg_catalog.pg_class c
  where c.relnamespace in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
  union all
  select 'system', 'routines', md5(string_agg(p.oid::text || p.proacl::text, ',' order by p.oid))
  from pg_catalog.pg_proc p
  where p.pronamespace in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
  union all
  select 'system', 'schemas', md5(string_agg(n.nspname || n.nspacl::text, ',' order by n.oid))
  from pg_catalog.pg_namespace n
  where n.nspname in ('pg_catalog', 'information_schema')
)
select format('%s | %s | %s', kind, name, description) as line
from entry
order by format('%s | %s | %s', kind, name, description) collate "C";
