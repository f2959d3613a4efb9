-- Gives the local users credits and roles. Applying it twice changes nothing.
select unstuck.credit_grant_v1(
  format('00000000-0000-4000-8000-%s', suffix)::uuid,
  1000,
  'seed',
  'seed-' || suffix
)
from unnest(array[
  '000000000001',
  '000000000002',
  '000000000003',
  '000000000004',
  '000000000005',
  '0000000000a1',
  '0000000000a2'
]) as suffix;

insert into unstuck.user_roles (user_id, role)
values
  ('00000000-0000-4000-8000-0000000000a1', 'admin'),
  ('00000000-0000-4000-8000-0000000000a2', 'admin')
on conflict do nothing;
