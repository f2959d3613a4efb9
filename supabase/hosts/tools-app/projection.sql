-- The job tables of the app of tools. Its own functions return what a live row says was charged, so
-- a row says so at its end only, together with what came back: they find nothing to return, and the
-- job that they end is cancelled and refunded by us. Send this file as one query, as the role that
-- installed, after `wallet.sql`; leave out the tables of tools that are not switched over.

begin;

select unstuck_private.projection_attach(
  t.tool,
  t.host_table,
  'job',
  t.columns || $columns${
    "user_id": {"once": "j.user_id"},
    "session_id": {"once": "coalesce(j.session_id, '')"},
    "created_at": {"once": "j.created_at"},
    "status": "w.status",
    "task_id": "s.provider_task_id",
    "output_url": "j.output_url",
    "error_message": "j.error_message",
    "started_at": "j.started_at",
    "completed_at": "j.completed_at",
    "waited_in_queue": "j.waited_in_queue",
    "user_credit_cost": "j.credits_charged",
    "credits_charged": "j.completed_at is not null and j.credits_charged > 0",
    "credits_refunded": "j.completed_at is not null and j.credits_refunded > 0"
  }$columns$,
  '{
    "queued": "queued",
    "starting": "starting",
    "running": "running",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled"
  }',
  '{"app.ai_financial_write": "on"}',
  $begun$t.credits_charged or t.status not in ('pending', 'queued')$begun$
)
from (
  values
    (
      'runninghub-upscaler', 'public.upscaler_jobs'::regclass,
      $columns${"input_url": {"once": "j.input ->> 'imageUrl'"}}$columns$::jsonb
    ),
    (
      'runninghub-video-upscaler', 'public.video_upscaler_jobs',
      $columns${"video_url": {"once": "j.input ->> 'videoUrl'"}}$columns$
    ),
    ('runninghub-pose-changer', 'public.pose_changer_jobs', '{}'),
    ('runninghub-veste-ai', 'public.veste_ai_jobs', '{}')
) as t (tool, host_table, columns);

commit;
