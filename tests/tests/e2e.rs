//! End to end: every function as released, in workerd, on a real Postgres, before stand-ins for Supabase and the providers.

mod e2e {
    mod admin_cancel_job;
    mod auth;
    mod browser;
    mod chains;
    mod cleanup_stale_jobs;
    mod client;
    mod gateway;
    mod kills;
    mod provider_webhook;
    mod replicate_async_start;
    mod replicate_async_status;
    mod replicate_async_worker;
    mod replicate_prediction_checker;
    mod replicate_webhook;
    mod runninghub_queue_manager;
    mod runninghub_upscaler;
    mod upscaling;
}
