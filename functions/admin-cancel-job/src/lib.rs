//! `admin-cancel-job`
