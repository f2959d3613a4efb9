-- The auditor's own record of every change, made by triggers, in the order of the writes. It knows
-- tables and columns of docs/data-model.md and nothing else.
create schema auditor;

create table auditor.changes (
  id bigint generated always as identity primary key,
  tx xid8 not null default pg_current_xact_id(),
  at timestamptz not null default clock_timestamp(),
  relation text not null,
  before jsonb,
  after jsonb
);

create function auditor.note() returns trigger
language plpgsql
security definer
set search_path = ''
as
$$
begin
  insert into auditor.changes (relation, before, after)
  values (
    tg_table_name,
    case when tg_op <> 'INSERT' then to_jsonb(old) - array['input', 'output'] end,
    case when tg_op <> 'DELETE' then to_jsonb(new) - array['input', 'output'] end
  );
  return null;
end $$;

create trigger zz_auditor after insert or update or delete on unstuck.jobs
for each row execute function auditor.note();
create trigger zz_auditor after insert or update or delete on unstuck.job_steps
for each row execute function auditor.note();
create trigger zz_auditor after insert or update or delete on unstuck.credit_entries
for each row execute function auditor.note();
create trigger zz_auditor after insert or update or delete on unstuck.credit_accounts
for each row execute function auditor.note();
create trigger zz_auditor after insert or update or delete on unstuck.providers
for each row execute function auditor.note();
create trigger zz_auditor after insert or update or delete on unstuck.refunds_owed
for each row execute function auditor.note();

-- What our tables hold when a database is new: prices, limits, providers.
create table auditor.first_rows (relation regclass primary key, held jsonb not null);

do $$
declare
  v_table regclass;
begin
  for v_table in
    select c.oid::regclass from pg_class c
    where c.relkind = 'r'
      and c.relnamespace in ('unstuck'::regnamespace, 'unstuck_private'::regnamespace)
  loop
    execute format(
      'insert into auditor.first_rows
       select %L, jsonb_agg(to_jsonb(t)) from %s t having count(*) > 0',
      v_table, v_table
    );
  end loop;
end $$;

-- Makes a used database new, which costs less than a new database: its connection has every
-- function parsed. The tables in public are those of an app that holds the credits.
create function auditor.begin_anew() returns void
language plpgsql
set session_replication_role = replica
as
$$
declare
  v_table record;
  v_used text[] := '{auditor.changes}';
  v_is_used boolean;
begin
  for v_table in
    select c.oid::regclass::text as name from pg_class c
    where c.relkind = 'r'
      and c.relnamespace::regnamespace::text in ('unstuck', 'unstuck_private', 'public')
    order by 1
  loop
    execute format('select exists (select from %s)', v_table.name) into v_is_used;
    if v_is_used then
      v_used := v_used || v_table.name;
    end if;
  end loop;
  execute format('truncate %s restart identity cascade', array_to_string(v_used, ', '));
  for v_table in
    select f.relation::text as name,
      (select string_agg(quote_ident(a.attname), ', ') from pg_attribute a
       where a.attrelid = f.relation and a.attnum > 0
         and not a.attisdropped and a.attgenerated = '') as columns
    from auditor.first_rows f
    order by 1
  loop
    execute format(
      'insert into %1$s (%2$s) overriding system value
       select %2$s from auditor.first_rows f, jsonb_populate_recordset(null::%1$s, f.held)
       where f.relation = %3$L::regclass',
      v_table.name, v_table.columns, v_table.name
    );
  end loop;
end $$;
