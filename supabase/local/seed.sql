-- Gives the local users credits and roles, and the shop its packs. Applying it twice changes
-- nothing.
insert into auth.users (id, email, email_confirmed_at)
select format('00000000-0000-4000-8000-%s', lpad(suffix, 12, '0'))::uuid, email, now()
from (
  values
    ('1', 'user1@example.com'),
    ('2', 'user2@example.com'),
    ('3', 'user3@example.com'),
    ('4', 'user4@example.com'),
    ('5', 'user5@example.com'),
    ('a1', 'admin1@example.com'),
    ('a2', 'admin2@example.com')
) as u (suffix, email)
on conflict do nothing;

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

insert into unstuck.credit_packs (pack, credits, price_id, recurring, position, words)
values
  (
    'small', 100, 'price_small', false, 1,
    '{
      "en": {"name": "100 credits", "price": "€5"},
      "pt": {"name": "100 créditos", "price": "5 €"},
      "ru": {"name": "100 кредитов", "price": "5 €"},
      "uk": {"name": "100 кредитів", "price": "5 €"}
    }'
  ),
  (
    'large', 500, 'price_large', false, 2,
    '{
      "en": {"name": "500 credits", "price": "€20"},
      "pt": {"name": "500 créditos", "price": "20 €"},
      "ru": {"name": "500 кредитов", "price": "20 €"},
      "uk": {"name": "500 кредитів", "price": "20 €"}
    }'
  ),
  (
    'monthly', 300, 'price_monthly', true, 3,
    '{
      "en": {"name": "300 credits a month", "price": "€12 a month"},
      "pt": {"name": "300 créditos por mês", "price": "12 € por mês"},
      "ru": {"name": "300 кредитов в месяц", "price": "12 € в месяц"},
      "uk": {"name": "300 кредитів на місяць", "price": "12 € на місяць"}
    }'
  )
on conflict do nothing;
