create table unstuck.refunds_owed (
  job_id uuid not null,
  step int,
  amount bigint not null check (amount > 0),
  error text not null,
  at timestamptz not null default clock_timestamp(),
  tries int not null default 1
);

create unique index refunds_owed_once on unstuck.refunds_owed (job_id, step) nulls not distinct;

comment on table unstuck.refunds_owed is $c$
Refunds that a wallet did not take, in full or in part, when the job ended. Every pass of a healer
tries them; one that is older than an hour is a row of invariant_violations.
$c$;

alter table unstuck.refunds_owed enable row level security;
revoke all on unstuck.refunds_owed from public, anon, authenticated, service_role;
grant select on unstuck.refunds_owed to service_role;
