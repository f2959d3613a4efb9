-- What costs more than the default options, which the rows of `tools` price. The positions leave
-- room before, between and after them. A rule that is there already stays the operator's own.
select set_config('unstuck.actor', 'migration', true);

insert into unstuck.tool_prices (tool, position, matches, credits, note)
values
  (
    'runninghub-upscaler', 110, '{"version": "pro", "resolution": {"gt": 4096}}', 150,
    'the better model, at more than 4096 pixels a side'
  ),
  (
    'runninghub-upscaler', 120, '{"version": "pro"}', 90,
    'the better model'
  ),
  (
    'runninghub-upscaler', 130, '{"resolution": {"gt": 4096}}', 90,
    'more than 4096 pixels a side'
  )
on conflict do nothing;

select set_config('unstuck.actor', '', true);
