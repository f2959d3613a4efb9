create table unstuck.violations_found (
  invariant text not null,
  subject text not null,
  detail text not null,
  job_id uuid,
  user_id uuid,
  entry_id bigint,
  found_at timestamptz not null default clock_timestamp(),
  checked_at timestamptz not null default clock_timestamp(),
  primary key (invariant, subject),
  constraint violations_found_one_key check ((job_id is null) <> (user_id is null))
);

create index violations_found_by_job on unstuck.violations_found (job_id)
where job_id is not null;

create index violations_found_by_user on unstuck.violations_found (user_id)
where user_id is not null;

create index violations_found_by_check on unstuck.violations_found (checked_at);

comment on table unstuck.violations_found is $c$
Violations of invariants, stored once and kept until they are mended. Exactly one of `job_id` and
`user_id` says whose change has the violation checked again; `entry_id` is set where it is about one
ledger entry of that user.
$c$;

alter table unstuck.violations_found enable row level security;
revoke all on unstuck.violations_found from public, anon, authenticated, service_role;
grant select on unstuck.violations_found to service_role;
