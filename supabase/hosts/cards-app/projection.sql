-- The job and card tables of the app of cards. Its own trigger recomputes the job after each card,
-- and its word stays: a set with one failed card ends as `failed` there. That a set is `completed`
-- only that trigger says, once the cards are written: it files them, and tells the user. Send this
-- file as one query, as the role that installed, after `wallet.sql`.

begin;

-- Our word for a set of cards; for one that is completed the app's own, or that it is at work where
-- the app has no row of it.
create or replace function unstuck_private.host_word(
  p_job_id uuid,
  p_status text,
  p_word text
)
returns text
language sql
stable
set search_path = public, extensions
as
$$
  select case
    when p_status <> 'completed' then p_word
    else coalesce(
      (
        select g.status::text
        from generation_jobs g
        where g.id = p_job_id
      ),
      'processing'
    )
  end
$$;

revoke all on function unstuck_private.host_word from public, anon, authenticated, service_role;

select unstuck_private.projection_attach(
  'create-generation-job-banana',
  'public.generation_jobs',
  'job',
  $columns${
    "user_id": {"once": "j.user_id"},
    "product_name": {"once": "coalesce(j.input ->> 'productName', '')"},
    "category": {"once": "coalesce(j.input ->> 'category', '')"},
    "description": {"once": "coalesce(j.input ->> 'description', '')"},
    "created_at": {"once": "j.created_at"},
    "total_cards": {"once": "j.total_steps"},
    "status": "unstuck_private.host_word(j.id, j.status, w.status)",
    "tokens_cost": "j.credits_charged",
    "error_message": "j.error_message",
    "started_at": "j.started_at",
    "completed_at": "j.completed_at"
  }$columns$,
  '{
    "queued": "pending",
    "starting": "processing",
    "running": "processing",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "failed"
  }',
  -- A page inserts no cards.
  p_begun => $begun$
    t.status <> 'pending' or exists (select from generation_tasks c where c.job_id = t.id)
  $begun$
);

select unstuck_private.projection_attach(
  'create-generation-job-banana',
  'public.generation_tasks',
  'step',
  $columns${
    "job_id": {"once": "j.id"},
    "card_index": {"once": "s.step - 1"},
    "card_type": {"once": "coalesce(j.input -> 'selectedCards' ->> (s.step - 1), 'card')"},
    "created_at": {"once": "j.created_at"},
    "status": "w.status",
    "image_url": "s.output_url",
    "last_error": "s.error_message",
    "retry_count": "greatest(s.attempts - 1, 0)",
    "started_at": "s.started_at",
    "completed_at": "s.completed_at"
  }$columns$,
  '{
    "blocked": "pending",
    "queued": "pending",
    "starting": "processing",
    "running": "processing",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "failed"
  }'
);

commit;
