-- The roles that `user_roles` knows. Only `admin` means anything to this product.
create type unstuck.app_role as enum ('admin', 'moderator', 'user');
