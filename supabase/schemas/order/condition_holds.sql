-- Returns whether a value of an order's input meets a condition of a price: it equals the
-- condition, or meets every operator of it. Null, which stands for a field that the input lacks,
-- meets none.
create or replace function unstuck_private.condition_holds(p_value jsonb, p_condition jsonb)
returns boolean
language sql
immutable
set search_path = ''
as
$$
  select coalesce(
    case jsonb_typeof(p_condition)
      when 'object' then not exists (
        select
        from jsonb_each(p_condition) o
        where not coalesce(
          case o.key
            when 'in' then
              jsonb_typeof(p_value) not in ('array', 'object') and o.value @> p_value
            else
              jsonb_typeof(p_value) = 'number'
              and case o.key
                when 'gt' then p_value > o.value
                when 'gte' then p_value >= o.value
                when 'lt' then p_value < o.value
                when 'lte' then p_value <= o.value
              end
          end,
          false
        )
      )
      else p_value = p_condition
    end,
    false
  )
$$;

revoke all on function unstuck_private.condition_holds
from public, anon, authenticated, service_role;
