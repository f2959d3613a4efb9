//! One operation of a function.

use futures_util::future::LocalBoxFuture;

use crate::core::auth::{Policy, Quota};
use crate::core::error::ApiError;
use crate::core::reply::Reply;
use crate::edge::call::Call;

/// The handler of an operation.
pub type Handler = fn(Call) -> LocalBoxFuture<'static, Result<Reply, ApiError>>;

/// One operation of a function, made by [`crate::op!`].
#[derive(Debug)]
pub struct Op {
    /// The path segment after the function's name; empty for the function itself.
    pub path: &'static str,
    pub methods: &'static [&'static str],
    pub policy: Policy,
    /// The limit that a user's call counts against.
    pub quota: Quota,
    pub handler: Handler,
}

impl Op {
    /// Returns the largest body in bytes: 1 MB for a webhook, 256 KB otherwise.
    pub fn body_bytes_max(&self) -> usize {
        match self.policy {
            Policy::Provider | Policy::Seller => 1024 * 1024,
            _ => 256 * 1024,
        }
    }

    /// Returns whether the operation answers a GET. Its input may then be in the query.
    pub fn reads_query(&self) -> bool {
        self.methods.contains(&"GET")
    }

    /// Returns whether more path segments may follow: a webhook's URL names its run or its seller
    /// in them.
    pub(super) fn takes_path(&self) -> bool {
        matches!(self.policy, Policy::Provider | Policy::Seller)
    }
}
