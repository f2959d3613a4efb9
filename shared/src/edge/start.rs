//! What happens once per instance, before its first event.

use std::panic;

/// `console_error_panic_hook` prints the message with the JavaScript stack. It is chained: the hook
/// that is already there marks a broken instance for re-creation, and replacing it would keep the
/// broken one in service.
#[worker::event(start)]
fn start() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        console_error_panic_hook::hook(info);
        previous(info);
    }));
    crate::core::auth::crypto::install();
}
