//! `generate-php-website`: makes a PHP website from a prompt. It orders, retries and shows
//! websites; the queue consumer of `generate-website` makes them.

use shared::app::website;
use shared::core::website::WebsiteKind;

shared::function! {
    name: "generate-php-website",
    ops: {
        POST "" for UserOrService as Order =>
            async |call, body| website::order_or_retry(call, body, WebsiteKind::Php).await,
        GET "" for User as Read =>
            async |call, body| website::show(call, body, WebsiteKind::Php).await,
    },
    quote: async |call, body| website::quote(call, body, WebsiteKind::Php).await,
    order: async |call, body| website::order(call, body, WebsiteKind::Php).await,
}
