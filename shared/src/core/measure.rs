//! Measures a file by its header: the pixels of a picture, the seconds of a video. No I/O: the
//! caller passes windows of the file and is told where the next one begins.
//!
//! The bytes come from a user. Whatever they are, a reading ends after a few windows. A file whose
//! size is missing or impossible is not measured.

mod boxes;
mod image;
mod webm;
mod window;

use serde::{Deserialize, Serialize};

pub use window::{FileSize, Reading};
use window::{Found, Window};

/// The bytes of one window. The header of almost every file fits into the first one.
pub const WINDOW_BYTES: usize = 128 * 1024;
/// The number of windows that a reading may ask for. They cover a megabyte of metadata before the
/// size.
const WINDOWS_MAX: u32 = 8;
/// A longer duration cannot be true.
const SECONDS_MAX: f64 = 1e7;

/// The unit by which an order may be priced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceUnit {
    Second,
    Megapixel,
}

/// The sum over the files of an order. `None`: it could not be measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Measured {
    pub seconds: Option<f64>,
    pub megapixels: Option<f64>,
}

impl Measured {
    /// Whether this unit is known.
    pub fn has(self, unit: PriceUnit) -> bool {
        match unit {
            PriceUnit::Second => self.seconds.is_some(),
            PriceUnit::Megapixel => self.megapixels.is_some(),
        }
    }

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

#[derive(Clone, Copy)]
enum Format {
    Jpeg,
    Boxes,
    Webm,
}

/// Reads the header of one file, window by window.
#[derive(Default)]
pub struct HeaderReader {
    /// Known after the first window.
    format: Option<Format>,
    windows: u32,
}

impl HeaderReader {
    /// Reads the window that begins at `start`: at first 0, then the position that the last reading
    /// returned.
    pub fn read(&mut self, start: u64, bytes: &[u8]) -> Reading {
        self.windows += 1;
        let window = Window::new(start, bytes);
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
        let (format, at) = match window.bytes() {
            [0x89, b'P', b'N', b'G', ..] => return image::png(window),
            [b'G', b'I', b'F', b'8', ..] => return image::gif(window),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => {
                return image::webp(window);
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
        Format::Jpeg => image::jpeg(window, at),
        Format::Boxes => boxes::duration(window, at),
        Format::Webm => webm::duration(window, at),
    }
}

#[cfg(test)]
#[path = "measure/tests.rs"]
mod tests;
