//! Part of a file, and the results of reading it.

/// The size of one file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FileSize {
    Pixels(u64),
    Seconds(f64),
}

/// The result of reading a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading {
    Of(FileSize),
    /// The header continues in the window that begins at this byte.
    From(u64),
    Unmeasured,
}

/// The result of a piece of the header: a size, where to continue, or `None` if it cannot be read.
pub(super) type Found = Option<Reading>;

/// The bytes of a file from `start` on.
#[derive(Clone, Copy)]
pub(super) struct Window<'b> {
    start: u64,
    bytes: &'b [u8],
}

impl<'b> Window<'b> {
    pub(super) fn new(start: u64, bytes: &'b [u8]) -> Self {
        Self { start, bytes }
    }

    pub(super) fn bytes(&self) -> &'b [u8] {
        self.bytes
    }

    /// The `length` bytes at `at`, if the window has all of them.
    pub(super) fn get(&self, at: u64, length: usize) -> Option<&'b [u8]> {
        let from = usize::try_from(at.checked_sub(self.start)?).ok()?;
        self.bytes.get(from..from.checked_add(length)?)
    }

    /// Asks for the window that begins at `at`, where the header continues. If this window begins
    /// there already and is too short, the reading ends.
    pub(super) fn beyond(&self, at: u64) -> Found {
        (at > self.start).then_some(Reading::From(at))
    }
}

/// An unsigned number of up to 8 bytes, the most significant first.
pub(super) fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

pub(super) fn pixels(width: u64, height: u64) -> Found {
    Some(Reading::Of(FileSize::Pixels(width.checked_mul(height)?)))
}

#[expect(clippy::cast_precision_loss, reason = "a part of a second is lost after 285 years")]
pub(super) fn as_f64(number: u64) -> f64 {
    number as f64
}
