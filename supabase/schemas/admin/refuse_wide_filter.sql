-- Refuses an act on many jobs with bad_request and the field: a filter without any known key or
-- with a malformed time, a limit outside of 0 to 1,000, an empty reason. With `p_limit` 0 the call
-- only counts the jobs and needs no reason.
create or replace function unstuck_private.refuse_wide_filter(
  p_filter jsonb,
  p_limit int,
  p_reason text
)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  if jsonb_typeof(p_filter) is distinct from 'object'
    or jsonb_strip_nulls(p_filter) - array[
      'ids', 'tool', 'status', 'provider', 'userId', 'errorCode', 'createdAfter', 'createdBefore'
    ] = jsonb_strip_nulls(p_filter)
  then
    perform unstuck_private.refuse(400, 'bad_request', '{"field": "filter"}');
  end if;
  begin
    perform (p_filter ->> 'createdAfter')::timestamptz, (p_filter ->> 'createdBefore')::timestamptz;
  exception when data_exception then
    perform unstuck_private.refuse(400, 'bad_request', '{"field": "filter"}');
  end;
  if p_limit is null or p_limit not between 0 and 1000 then
    perform unstuck_private.refuse(400, 'bad_request', '{"field": "limit"}');
  end if;
  if p_limit > 0 then
    perform unstuck_private.refuse_without_reason(p_reason);
  end if;
end $$;

revoke all on function unstuck_private.refuse_wide_filter
from public, anon, authenticated, service_role;
