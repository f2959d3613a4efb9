create type unstuck.app_role as enum ('admin', 'moderator', 'user');
