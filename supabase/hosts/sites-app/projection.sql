-- The table of the app of websites. Its own cleanup opens an appeal over the price of a live row,
-- so a row says its price at its end only: what the team really paid. Send this file as one query,
-- as the role that installed, after `wallet.sql`.

begin;

-- The team that paid for this job. An admin's retry for free is of the team of the job that it
-- repeats; where nobody paid, the website is of the team that its order named, else of the only one
-- of its user. A website is paid for before the app has a row of it, so the movement names that row
-- from the second write on: the app adds up both by it.
create or replace function unstuck_private.host_payer(p_job_id uuid) returns uuid
language plpgsql
set search_path = public, extensions
as
$$
declare
  v_receipt jsonb := unstuck_private.job_receipt(p_job_id);
  v_job unstuck.jobs;
  v_team uuid;
  v_teams uuid[];
begin
  update credit_transactions c
  set generation_id = p_job_id
  where c.id = (v_receipt ->> 'movement')::uuid
    and c.generation_id is null
    and exists (select from generation_history g where g.id = p_job_id);
  select * into v_job
  from unstuck.jobs j
  where j.id = p_job_id;
  v_team := coalesce(
    (v_receipt ->> 'team')::uuid,
    (
      select g.team_id
      from generation_history g
      where g.id = p_job_id
        and g.user_id = v_job.user_id
    ),
    case when v_job.retry_of is not null then unstuck_private.host_payer(v_job.retry_of) end);
  if v_team is not null then
    return v_team;
  end if;
  v_teams := array(
    select t.id
    from teams t
    where t.id::text = lower(v_job.input ->> 'teamId')
  );
  if v_teams = '{}' then
    v_teams := unstuck_private.host_teams(v_job.user_id);
  end if;
  return case cardinality(v_teams) when 1 then v_teams[1] end;
end $$;

revoke all on function unstuck_private.host_payer from public, anon, authenticated, service_role;

select unstuck_private.projection_attach(
  t.tool,
  'public.generation_history',
  'job',
  $columns${
    "user_id": {"once": "j.user_id"},
    "team_id": {"once": "unstuck_private.host_payer(j.id)"},
    "prompt": {"once": "coalesce(j.input ->> 'prompt', '')"},
    "language": {"once": "coalesce(j.input ->> 'language', 'en')"},
    "site_name": {"once": "j.input ->> 'siteName'"},
    "created_at": {"once": "j.created_at"},
    "status": "w.status",
    "error_message": "j.error_message",
    "completed_at": "j.completed_at",
    "retry_count": "j.retries",
    "download_url": "j.output_url"
  }$columns$ || jsonb_build_object(
    'sale_price',
    'case when j.completed_at is not null then '
      || '(j.credits_charged - j.credits_refunded) / 100.0 end'
  ) || jsonb_build_object(
    'website_type', jsonb_build_object('once', quote_literal(t.type))
  ),
  '{
    "queued": "pending",
    "starting": "generating",
    "running": "generating",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "failed"
  }',
  p_begun => $begun$
    t.status <> 'pending' or t.sale_price > 0
    or exists (select from credit_transactions m where m.generation_id = t.id)
  $begun$
)
from (
  values
    ('generate-website', 'html'),
    ('generate-react-website', 'react'),
    ('generate-php-website', 'php')
) as t (tool, type);

commit;
