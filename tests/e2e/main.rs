//! End to end: every function as released, in workerd, on a real Postgres, before stand-ins for
//! Supabase and the providers.

mod admin_cancel_job;
mod admin_retry_job;
mod auth;
mod bench_world;
mod browser;
mod circuit;
mod cleanup_stale_generations;
mod cleanup_stale_jobs;
mod client;
mod create_generation_job_banana;
mod demo;
mod gateway;
mod generate_php_website;
mod generate_react_website;
mod generate_website;
mod generation_retry;
mod kills;
mod leaving;
mod misbehaviour;
mod placed_run;
mod platform;
mod process_generation_tasks_banana;
mod provider_webhook;
mod public_reports;
mod replicate_async_start;
mod replicate_async_status;
mod replicate_async_worker;
mod replicate_prediction_checker;
mod replicate_webhook;
mod runninghub_pose_changer;
mod runninghub_queue_manager;
mod runninghub_upscaler;
mod runninghub_veste_ai;
mod runninghub_video_upscaler;
mod slots;
