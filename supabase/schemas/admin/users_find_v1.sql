create or replace function unstuck.users_find_v1(p_actor uuid, p_query text)
returns table (users jsonb, jobs jsonb)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_text text := trim(p_query);
  v_hex text := unstuck_private.id_beginning(trim(p_query));
  v_from uuid := rpad(v_hex, 32, '0');
  v_to uuid := rpad(v_hex, 32, 'f');
  v_jobs uuid[];
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, null);
  if coalesce(v_text, '') = '' then
    perform unstuck_private.refuse(400, 'bad_request', '{"field": "query"}');
  end if;
  v_jobs := array(select n.job_id from unstuck_private.jobs_named(v_text, 20) n);
  select coalesce(jsonb_agg(unstuck_private.user_summary(f.user_id)), '[]')
  into users
  from (
    select n.user_id
    from unstuck_private.users_named(v_text, 20) n
    union
    select a.user_id
    from unstuck.credit_accounts a
    where a.user_id between v_from and v_to
    union
    select n.user_id
    from unstuck_private.auth_ids_between(v_from, v_to, 20) n
    union
    select j.user_id
    from unstuck.jobs j
    where j.id = any (v_jobs)
    limit 20
  ) f;
  select coalesce(jsonb_agg(unstuck_private.job_summary(j) order by j.created_at desc), '[]')
  into jobs
  from unstuck.jobs j
  where j.id = any (v_jobs);
  return next;
end $$;

comment on function unstuck.users_find_v1 is $c$
Caller: admin-users. The role of p_actor is read in the same transaction.

Effect: none. Up to twenty users, and up to twenty jobs, whom a text names: an e-mail address or its
beginning, the id of a user or a job or its beginning, a provider's id of a task, or the id of the
request that ordered. Of a job, its user is found too.

Refuses: forbidden, bad_request (an empty text).

Replay: reads again.
$c$;

revoke all on function unstuck.users_find_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.users_find_v1 to service_role;
