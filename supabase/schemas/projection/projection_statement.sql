-- Returns the statement that writes a job to a table of the app. Its parameter `$1` is the id of
-- the job, `$2` the app's words for the states. Columns that the projection does not name are the
-- app's own and stay as they are.
--
-- The statement never writes a job that nobody has ordered: its row is the app's, whose own
-- function may run it. Nor does it write to a row that belongs to another user, or a step whose job
-- has such a row.
create or replace function unstuck_private.projection_statement(p_projection unstuck.projections)
returns text
language sql
stable
set search_path = ''
as
$$
  select format(
    'insert into %1$s as t (id, %2$s) '
      || 'select %3$s, %4$s '
      || 'from unstuck.jobs j %5$s '
      || 'cross join lateral (select $2 ->> %6$s.status as status) w '
      || 'where j.id = $1 and j.request_hash is not null and w.status is not null%10$s '
      || 'and j.user_id <> unstuck_private.erased_user() '
      || 'order by s.step '
      || 'on conflict (id) do update set %7$s '
      || 'where (%8$s) is distinct from (%9$s)%11$s',
    p_projection.host_table,
    string_agg(quote_ident(c.name), ', ' order by c.name),
    case p_projection.level when 'job' then 'j.id' else 'unstuck_private.step_row_id(s)' end,
    string_agg(format('(%s)::%s', c.made, c.type), ', ' order by c.name),
    case p_projection.level
      when 'job' then
        'left join lateral (select s.* from unstuck.job_steps s where s.job_id = j.id '
          || 'order by s.provider_task_id is not null desc, s.step desc limit 1) s on true'
      else 'join unstuck.job_steps s on s.job_id = j.id'
    end,
    left(p_projection.level, 1),
    string_agg(format('%1$I = excluded.%1$I', c.name), ', ' order by c.name)
      filter (where not c.once),
    string_agg(format('t.%I', c.name), ', ' order by c.name) filter (where not c.once),
    string_agg(format('excluded.%I', c.name), ', ' order by c.name) filter (where not c.once),
    case p_projection.level when 'step' then (
      select string_agg(
        format(
          ' and not exists (select from %s o where o.id = j.id and o.%I is distinct from '
            || 'j.user_id)',
          p.host_table, unstuck_private.projection_owner(p)),
        '' order by p.host_table)
      from unstuck.projections p
      where p.tool = p_projection.tool
        and p.level = 'job'
        and unstuck_private.projection_owner(p) is not null
    ) end,
    string_agg(format(' and t.%1$I = excluded.%1$I', c.name), '' order by c.name)
      filter (where c.made in ('j.user_id', 'j.id'))
  )
  from (
    select
      e.key as name,
      jsonb_typeof(e.value) = 'object' as once,
      coalesce(e.value ->> 'once', e.value #>> '{}') as made,
      format_type(a.atttypid, a.atttypmod) as type
    from jsonb_each(p_projection.columns) e
    join pg_catalog.pg_attribute a
      on a.attrelid = p_projection.host_table
      and a.attname = e.key
      and not a.attisdropped
  ) c
$$;

revoke all on function unstuck_private.projection_statement
from public, anon, authenticated, service_role;
