-- The known providers, one row each. A row that exists keeps the operator's own limits.
insert into unstuck.providers (
  provider, max_concurrent, synchronous, signed_webhooks, retried_by_function
)
values
  ('runninghub',  3, false, false, false),
  ('replicate',  10, false, true,  false),
  ('gemini',      5, true,  false, false),
  ('llm',        10, true,  false, true)
on conflict do nothing;
