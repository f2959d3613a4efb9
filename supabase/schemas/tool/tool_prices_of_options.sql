-- The rules for options that cost more than the price in `tools`; tools without a rule have no such
-- option. The positions leave room before, between and after the rules.
--
-- What the operator has decided stays: a rule that exists is not replaced, and a tool whose price
-- is no longer the one named here gets no rule.
select set_config('unstuck.actor', 'migration', true);

insert into unstuck.tool_prices (
  tool, position, matches, credits, priced_per, quantity, credits_min, note
)
select r.tool, r.position, r.matches, r.credits, r.priced_per, r.quantity, r.credits_min, r.note
from (
  values
    (
      'runninghub-upscaler', 60, 110, '{"version": "pro", "resolution": {"gt": 4096}}'::jsonb,
      150, 'job', null, null,
      'the better model, at more than 4096 pixels a side'
    ),
    (
      'runninghub-upscaler', 60, 120, '{"version": "pro"}',
      90, 'job', null, null,
      'the better model'
    ),
    (
      'runninghub-upscaler', 60, 130, '{"resolution": {"gt": 4096}}',
      90, 'job', null, null,
      'more than 4096 pixels a side'
    ),
    (
      'runninghub-video-upscaler', 120, 110, '{}',
      2, 'second', 900, 120,
      'a minute at the price of the tool, and each further second'
    )
) as r (tool, credit_cost, position, matches, credits, priced_per, quantity, credits_min, note)
join unstuck.tools t
  on t.tool = r.tool and t.credit_cost = r.credit_cost and t.priced_per = 'job'
on conflict do nothing;

select set_config('unstuck.actor', '', true);
