-- The roles that `user_roles` may hold. Only `admin` has a meaning for Unstuck.
create type unstuck.app_role as enum ('admin', 'moderator', 'user');

revoke all on type unstuck.app_role from public, anon, authenticated, service_role;
grant usage on type unstuck.app_role to public;
