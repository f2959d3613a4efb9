-- Heals all that SQL can heal, up to `p_limit` jobs and until `p_budget` is over, of one user only
-- if `p_user_id` is given. It finalises due jobs page by page, then fails steps without an attempt
-- left, then requeues steps, then pays refunds that are owed. None of the four stops another, and
-- no row stops the others.
--
-- Returns a row for each finalised job. A row without a job counts requeued steps, or due jobs that
-- are left over, looking one page ahead. `p_now` is an argument so that tests need not wait. Each
-- page is planned anew: a plan for pages of any size would read whole tables.
create or replace function unstuck_private.sweep(
  p_now timestamptz,
  p_user_id uuid,
  p_limit int,
  p_budget interval
)
returns table (
  job_id uuid,
  tool text,
  status text,
  refunded bigint,
  requeued int,
  remaining int
)
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
as
$$
#variable_conflict use_column
declare
  v_until timestamptz := clock_timestamp() + p_budget;
  v_remaining int := p_limit;
  v_rows int;
  v_is_stopped boolean;
  v_by text;
  v_ids uuid[];
  v_at timestamptz;
  v_id uuid;
begin
  perform unstuck_private.act_as('sweep');
  -- A user's own heal locks the account first, like every other function that works on the user.
  if p_user_id is not null
    and not (
      unstuck_private.has_due_jobs(p_user_id, p_now)
      and unstuck_private.account_try_lock(p_user_id)
    )
  then
    return;
  end if;
  foreach v_by in array
    case when p_user_id is null then array['deadline', 'age', 'left'] else array['user', 'left'] end
  loop
    v_at := '-infinity';
    v_id := '00000000-0000-0000-0000-000000000000';
    loop
      v_is_stopped := v_remaining <= 0 or clock_timestamp() > v_until;
      select c.ids, c.last_at, c.last_id
      into v_ids, v_at, v_id
      from unstuck_private.sweep_candidates(p_now, v_by, p_user_id, v_at, v_id,
        case when v_is_stopped then 1000 else least(greatest(v_remaining, 100), 2000) end) c;
      exit when v_ids is null;
      if v_is_stopped then
        return query
        select null::uuid, null::text, null::text, 0::bigint, 0,
          unstuck_private.count_due_among(p_now, v_ids);
        exit;
      end if;
      begin
        return query
        select *
        from unstuck_private.sweep_page(p_now, v_by, v_ids, v_remaining, v_until);
        get diagnostics v_rows = row_count;
        v_remaining := v_remaining - (v_rows - 1);
      exception when others then
        raise warning 'a page of the sweep failed: %', sqlerrm;
      end;
    end loop;
  end loop;
  begin
    return query
    select e.job_id, e.tool, e.status, e.refunded, 0, 0
    from unstuck_private.steps_fail_exhausted(p_now, p_user_id, least(p_limit, 200), v_until) e;
  exception when others then
    raise warning 'steps_fail_exhausted failed: %', sqlerrm;
  end;
  begin
    return query
    select null::uuid, null::text, null::text, 0::bigint,
      unstuck_private.steps_rescue(p_now, p_user_id, p_limit), 0;
  exception when others then
    raise warning 'steps_rescue failed: %', sqlerrm;
  end;
  begin
    perform unstuck_private.refunds_owed_pay(p_user_id, v_until);
  exception when others then
    raise warning 'refunds_owed_pay failed: %', sqlerrm;
  end;
end $$;

revoke all on function unstuck_private.sweep from public, anon, authenticated, service_role;
