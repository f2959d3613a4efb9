create table unstuck.signup_bonus (
  credits bigint not null
    check (credits between 1 and 1000000000000),
  since timestamptz not null default clock_timestamp()
);

-- One bonus at a time.
create unique index signup_bonus_is_one on unstuck.signup_bonus ((true));

comment on table unstuck.signup_bonus is $c$
The credits of users who signed up since that moment, given by the built-in wallet when the user
first does something. An operator inserts the row; without it there is no bonus.
$c$;

alter table unstuck.signup_bonus enable row level security;
revoke all on unstuck.signup_bonus from public, anon, authenticated, service_role;
grant select on unstuck.signup_bonus to service_role;
