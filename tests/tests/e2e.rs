//! End to end: every function as released, in workerd, on a real Postgres, before stand-ins for Supabase and the providers.

mod e2e {
    mod gateway;
}
