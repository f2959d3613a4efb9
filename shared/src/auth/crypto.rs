//! The verify-only provider.

/// Installs it.
pub fn install() {}
