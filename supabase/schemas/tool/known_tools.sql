-- The known tools, one row each; `tool` is the name of the function that creates the tool's jobs. A
-- row that exists keeps the operator's own prices and limits.
insert into unstuck.tools (
  tool,
  table_name, provider, credit_cost, priced_per, step_order, refund_rule,
  exclusive_group, run_timeout, queue_ttl, enabled
)
values
  (
    'runninghub-upscaler',
    'upscaler_jobs', 'runninghub', 60, 'job', 'sequential', 'all',
    'runninghub', '10 minutes', '10 minutes', true
  ),
  (
    'runninghub-video-upscaler',
    'video_upscaler_jobs', 'runninghub', 120, 'job', 'sequential', 'all',
    'runninghub', '15 minutes', '60 minutes', true
  ),
  (
    'runninghub-pose-changer',
    'pose_changer_jobs', 'runninghub', 60, 'job', 'sequential', 'all',
    'runninghub', '10 minutes', '10 minutes', true
  ),
  (
    'runninghub-veste-ai',
    'veste_ai_jobs', 'runninghub', 60, 'job', 'sequential', 'all',
    'runninghub', '10 minutes', '10 minutes', true
  ),
  (
    'create-generation-job-banana',
    'generation_jobs', 'gemini', 10, 'step', 'parallel', 'per_step',
    null, '10 minutes', '10 minutes', true
  ),
  (
    'replicate-async-start',
    'replicate_tasks', 'replicate', 40, 'step', 'sequential', 'all',
    null, '10 minutes', '10 minutes', true
  ),
  (
    'generate-website',
    'generation_history', 'llm', 50, 'job', 'sequential', 'all',
    null, '10 minutes', '10 minutes', true
  ),
  (
    'generate-react-website',
    'generation_history', 'llm', 80, 'job', 'sequential', 'all',
    null, '10 minutes', '10 minutes', true
  ),
  (
    'generate-php-website',
    'generation_history', 'llm', 80, 'job', 'sequential', 'all',
    null, '10 minutes', '10 minutes', true
  )
on conflict do nothing;
