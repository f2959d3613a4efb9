//! Measures a file by its header: the pixels of a picture, the seconds of a video. No I/O: the
//! caller hands over windows of the file and is told where the next one begins.
//!
//! The bytes are a user's. Whatever they are, a reading ends after a few windows; what says nothing
//! of its size, or nothing that can be true, is not measured.

mod boxes;
mod picture;
mod webm;

use serde::{Deserialize, Serialize};

/// The bytes of one window. Every header but that of an odd file fits into the first one.
pub const WINDOW_BYTES: usize = 128 * 1024;
/// How many windows a reading may ask for: a megabyte of metadata before a picture's size.
const WINDOWS_MAX: u32 = 8;
/// A longer video does not exist.
const SECONDS_MAX: f64 = 1e7;

/// What an order may be priced by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceUnit {
    Second,
    Megapixel,
}

/// What the files of an order hold together. `None`: it could not be measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Measured {
    pub seconds: Option<f64>,
    pub megapixels: Option<f64>,
}

impl Measured {
    /// Adds up one unit of all files. One file without a size, or no file at all, leaves the sum
    /// unknown.
    pub fn sum(unit: PriceUnit, files: impl IntoIterator<Item = Option<FileSize>>) -> Self {
        let in_unit = |file: Option<FileSize>| match (unit, file?) {
            (PriceUnit::Second, FileSize::Seconds(seconds)) => Some(seconds),
            (PriceUnit::Megapixel, FileSize::Pixels(pixels)) => Some(megapixels(pixels)),
            _ => None,
        };
        let sizes = files.into_iter().map(in_unit);
        let sum = sizes.reduce(|sum, next| Some(sum? + next?)).flatten();
        match unit {
            PriceUnit::Second => Self { seconds: sum, megapixels: None },
            PriceUnit::Megapixel => Self { seconds: None, megapixels: sum },
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "two sides of 32 bits; a rounding is far below one")]
fn megapixels(pixels: u64) -> f64 {
    pixels as f64 / 1e6
}

/// How large one file is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FileSize {
    Pixels(u64),
    Seconds(f64),
}

/// What a reading makes of a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading {
    Of(FileSize),
    /// It goes on with the window that begins at this byte.
    From(u64),
    Unmeasured,
}

/// The next piece of a header: what it says, where it goes on, or nothing that can be read.
type Found = Option<Reading>;

/// Part of a file: its bytes from `start`.
#[derive(Clone, Copy)]
struct Window<'b> {
    start: u64,
    bytes: &'b [u8],
}

impl<'b> Window<'b> {
    /// The `length` bytes at `at`, if the window has all of them.
    fn get(&self, at: u64, length: usize) -> Option<&'b [u8]> {
        let from = usize::try_from(at.checked_sub(self.start)?).ok()?;
        self.bytes.get(from..from.checked_add(length)?)
    }

    /// Where a header goes on that the window does not hold: in the window that begins there. A
    /// window of its own that is too short ends the reading.
    fn beyond(&self, at: u64) -> Found {
        (at > self.start).then_some(Reading::From(at))
    }
}

#[derive(Clone, Copy)]
enum Format {
    Jpeg,
    Boxes,
    Webm,
}

/// The reading of one file's header.
#[derive(Default)]
pub struct HeaderReader {
    /// Known once the first window was read.
    format: Option<Format>,
    windows: u32,
}

impl HeaderReader {
    /// Reads the window that begins at `start`: at 0 at first, then where it said.
    pub fn read(&mut self, start: u64, bytes: &[u8]) -> Reading {
        self.windows += 1;
        let window = Window { start, bytes };
        let found = match self.format {
            None => self.begin(window),
            Some(format) => follow(format, window, start),
        };
        match found {
            Some(Reading::From(_)) if self.windows >= WINDOWS_MAX => Reading::Unmeasured,
            Some(Reading::Of(FileSize::Seconds(seconds)))
                if !(seconds > 0.0 && seconds <= SECONDS_MAX) =>
            {
                Reading::Unmeasured
            }
            Some(Reading::Of(FileSize::Pixels(0))) | None => Reading::Unmeasured,
            Some(reading) => reading,
        }
    }

    fn begin(&mut self, window: Window<'_>) -> Found {
        let (format, at) = match window.bytes {
            [0x89, b'P', b'N', b'G', ..] => return picture::png(window),
            [b'G', b'I', b'F', b'8', ..] => return picture::gif(window),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => {
                return picture::webp(window);
            }
            [0xff, 0xd8, 0xff, ..] => (Format::Jpeg, 2),
            [0x1a, 0x45, 0xdf, 0xa3, ..] => (Format::Webm, 0),
            _ if boxes::is_video(window) => (Format::Boxes, 0),
            _ => return None,
        };
        self.format = Some(format);
        follow(format, window, at)
    }
}

fn follow(format: Format, window: Window<'_>, at: u64) -> Found {
    match format {
        Format::Jpeg => picture::jpeg(window, at),
        Format::Boxes => boxes::duration(window, at),
        Format::Webm => webm::duration(window, at),
    }
}

/// An unsigned number of up to 8 bytes, the highest first.
fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

fn pixels(width: u64, height: u64) -> Found {
    Some(Reading::Of(FileSize::Pixels(width.checked_mul(height)?)))
}

#[expect(clippy::cast_precision_loss, reason = "a part of a second is lost after 285 years")]
fn as_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
#[path = "measure/tests.rs"]
mod tests;
