//! End to end: every function as released, in workerd, on a real Postgres, before stand-ins for Supabase and the providers.

mod e2e {
    mod admin_cancel_job;
    mod auth;
    mod browser;
    mod cleanup_stale_jobs;
    mod client;
    mod gateway;
    mod kills;
    mod provider_webhook;
    mod runninghub_queue_manager;
    mod runninghub_upscaler;
    mod upscaling;
}
