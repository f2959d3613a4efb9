create table unstuck.user_roles (
  user_id uuid not null,
  role unstuck.app_role not null,
  primary key (user_id, role)
);

comment on table unstuck.user_roles is $c$
Who holds which role, for a project whose app has no roles of its own.
$c$;

alter table unstuck.user_roles enable row level security;
revoke all on unstuck.user_roles from public, anon, authenticated, service_role;
grant select on unstuck.user_roles to authenticated, service_role;
