-- One row per provider. An operator's own limits stay when this is applied again.
insert into unstuck.providers (provider, max_concurrent, synchronous, signed_webhooks)
values
  ('runninghub',  3, false, false),
  ('replicate',  10, false, true),
  ('gemini',      5, true,  false),
  ('llm',        10, true,  false)
on conflict do nothing;
