create table unstuck.tool_prices (
  tool text not null references unstuck.tools on delete cascade,
  -- The first rule that holds gives the price.
  position int not null,
  -- What the order's input must say, field by field: a value that it equals, or an object of
  -- operators (`gt`, `gte`, `lt`, `lte` with a number, `in` with a list of values) that all hold. A
  -- field that the input lacks meets no condition.
  matches jsonb not null default '{}',
  credits bigint not null
    check (credits between 0 and 1000000000000),
  priced_per text not null default 'job'
    check (priced_per in ('job', 'step', 'second', 'megapixel')),
  -- The largest number of seconds or megapixels that is charged: of a file that has more, and of
  -- one that cannot be measured.
  quantity numeric,
  note text,
  -- The least that a rule by second or megapixel costs, however small the files are.
  credits_min bigint
    check (credits_min between 1 and 1000000000000),
  primary key (tool, position),
  constraint tool_prices_matches_check check (
    coalesce(
      jsonb_typeof(matches) = 'object'
      and not matches @? 'strict $.* ? (
        @.type() == "array"
        || @.type() == "object" && !exists(@.keyvalue())
        || @.type() == "object" && exists(@.keyvalue() ? (
          @.key != "in" && @.value.type() != "number"
          || @.key != "in" && @.key != "gt" && @.key != "gte" && @.key != "lt" && @.key != "lte"
          || @.key == "in" && @.value.type() != "array"
          || @.key == "in" && @.value.type() == "array" && (
            !exists(@.value[*])
            || exists(@.value[*] ? (@.type() == "array" || @.type() == "object"))
          )
        ))
      )',
      false
    )
  ),
  constraint tool_prices_quantity_check check (
    case
      when priced_per in ('second', 'megapixel') then
        coalesce(quantity > 0 and quantity <= 1000000, false)
      else coalesce(quantity, 1) = 1 and credits_min is null
    end
  )
);

comment on table unstuck.tool_prices is $c$
What an order costs by its options: the first rule of its tool whose every condition holds, by
position, gives credits × quantity, rounded up, at least credits_min, at least 1. The quantity is 1
for a job, the number of steps, or what was measured of the order's stored files, which the column
quantity limits. Where no rule holds the price is that of the row in tools. Each change is a row of
admin_log.
$c$;

alter table unstuck.tool_prices enable row level security;
revoke all on unstuck.tool_prices from public, anon, authenticated, service_role;
grant select on unstuck.tool_prices to anon, authenticated, service_role;
