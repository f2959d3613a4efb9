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
