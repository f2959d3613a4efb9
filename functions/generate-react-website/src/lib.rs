//! `generate-react-website`: makes a React website from a prompt. It orders, retries and shows
//! websites; the queue consumer of `generate-website` makes them.

use shared::app::website;
use shared::core::website::WebsiteKind;

shared::function! {
    name: "generate-react-website",
    ops: {
        POST "" for UserOrService as Order =>
            async |call, body| website::order_or_retry(call, body, WebsiteKind::React).await,
        GET "" for User as Read =>
            async |call, body| website::show(call, body, WebsiteKind::React).await,
    },
    quote: async |call, body| website::quote(call, body, WebsiteKind::React).await,
    order: async |call, body| website::order(call, body, WebsiteKind::React).await,
}
