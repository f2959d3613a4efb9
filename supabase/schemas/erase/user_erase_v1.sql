create or replace function unstuck.user_erase_v1(p_actor uuid, p_user_id uuid, p_reason text)
returns table (jobs bigint, files bigint, entries bigint)
language plpgsql
security definer
set search_path = ''
set lock_timeout = '5s'
set statement_timeout = '60s'
as
$$
#variable_conflict use_column
declare
  v_ids uuid[];
  v_kept uuid[];
  v_files bigint;
  v_entries bigint;
  v_balance bigint;
begin
  perform unstuck_private.refuse_other_deployment();
  if not unstuck.has_role(p_actor, 'admin') then
    perform unstuck_private.refuse(403, 'forbidden');
  end if;
  if p_user_id is null or p_user_id = unstuck_private.erased_user() then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  perform unstuck_private.act_as('admin:' || p_actor);
  perform unstuck_private.user_lock(p_user_id);
  v_balance := unstuck_private.wallet_hold(p_user_id, null);
  v_ids := array(
    select l.id
    from (
      select j.id
      from unstuck.jobs j
      where j.user_id = p_user_id
      order by j.id
      for update
    ) l
  );
  -- A provider still works for these, or is owed a cancel: their bare rows stay until it is sent.
  v_kept := array(
    select distinct s.job_id
    from unstuck.jobs j
    join unstuck.job_steps s on s.job_id = j.id
    where j.user_id = p_user_id
      and (
        s.provider_cancel_due <> '[]'
        or unstuck_private.holds_slot(s)
      )
  );
  select count(*)
  into v_files
  from unstuck.jobs j
  join unstuck.job_steps s on s.job_id = j.id
  where j.user_id = p_user_id and s.output_url is not null;
  perform unstuck_private.user_jobs_finalise(p_user_id);
  perform unstuck_private.user_leave_app(p_user_id, v_ids);
  perform unstuck_private.user_jobs_strip(p_user_id, v_kept);
  perform unstuck_private.user_purchases_strip(p_user_id);
  v_entries := unstuck_private.user_rows_delete(p_user_id, v_ids);
  perform unstuck_private.erasure_record(
    p_actor,
    p_user_id,
    jsonb_build_object(
      'jobs', cardinality(v_ids),
      'entries', v_entries,
      'balance', v_balance
    ),
    p_reason
  );
  return query select cardinality(v_ids)::bigint, v_files, v_entries;
end $$;

comment on function unstuck.user_erase_v1 is $c$
Caller: admin-users, for its erase operation. The role of p_actor is read in the same transaction.

Effect: cancels the user's live jobs, then deletes the user's jobs, steps, events, webhooks, ledger,
account, debts, cancelled orders, pages, turns and roles, all or nothing, and records it in
admin_log. Purchases are kept as the books of what was sold, and name nobody. A job that a provider
may still work on stays for a day as a bare row that names no user, so that its cancel is sent. The
files are listed in erasures and deleted later through the Storage API. jobs, entries: deleted rows;
files: results that the jobs named.

Refuses: forbidden, bad_request, in_progress (the app's wallet does not take back what it owes the
user, or its tables do not take the ends of the user's jobs; refunds_owed: how many credits,
rows_owed: how many rows. Where they never will, first delete the user's rows of refunds_owed, or
switch that row of projections off).

Replay: zeros, and no second row of admin_log. The user may come back and is a new user then.
$c$;

revoke all on function unstuck.user_erase_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.user_erase_v1 to service_role;
