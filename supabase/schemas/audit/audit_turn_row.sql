insert into unstuck_private.audit_turn
default values
on conflict do nothing;
