create table unstuck.credit_accounts (
  user_id uuid primary key,
  balance bigint not null default 0 check (balance >= 0)
);

comment on table unstuck.credit_accounts is $c$
One row per user, which is locked before anything of the user. Its balance is the built-in wallet;
where an adapter holds the balances it stays 0. There is no foreign key to auth.users, so that the
jobs of a deleted user can still be finalised.
$c$;

alter table unstuck.credit_accounts enable row level security;
revoke all on unstuck.credit_accounts from public, anon, authenticated, service_role;
grant select on unstuck.credit_accounts to service_role;
grant select on unstuck.credit_accounts to authenticated;
