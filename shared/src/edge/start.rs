//! Prepares an isolate before its first event.

use std::panic;

/// Installs `console_error_panic_hook`, which prints a panic with the JavaScript stack, before the
/// existing hook. The existing one marks a broken instance for re-creation: without it the platform
/// would keep the instance in service.
#[worker::event(start)]
fn start() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        console_error_panic_hook::hook(info);
        previous(info);
    }));
    crate::core::auth::crypto::install();
}
