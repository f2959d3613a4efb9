-- The one row of `audit_lock`.
insert into unstuck_private.audit_lock
default values
on conflict do nothing;
