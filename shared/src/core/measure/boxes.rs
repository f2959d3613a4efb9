//! Reads the duration of an MP4 or QuickTime video from `moov/mvhd`. Source: ISO/IEC 14496-12, 4.2
//! and 8.2.2.

use super::window::{FileSize, Found, Reading, Window, as_f64, big_endian};

const HEAD_BYTES: u64 = 8;

/// Whether the file consists of boxes, by its beginning. An older QuickTime file does not name its
/// type.
pub(super) fn is_video(window: Window<'_>) -> bool {
    match window.get(4, 4) {
        // These brands are pictures of the same family.
        Some(b"ftyp") => !matches!(window.get(8, 3), Some(b"avi" | b"hei" | b"mif")),
        Some(b"moov" | b"mdat" | b"wide" | b"free" | b"skip") => true,
        _ => false,
    }
}

/// Follows the boxes from `at` to `moov`. It stands before the frames or, in a file that was not
/// made for the web, after them.
pub(super) fn duration(window: Window<'_>, mut at: u64) -> Found {
    loop {
        let Some(head) = window.get(at, 8) else { return window.beyond(at) };
        let (length, name) = head.split_at_checked(4)?;
        if name == b"moov" {
            return match movie(window, at.checked_add(HEAD_BYTES)?) {
                Some(seconds) => Some(Reading::Of(FileSize::Seconds(seconds))),
                None => window.beyond(at),
            };
        }
        let length = match big_endian(length) {
            1 => match window.get(at.checked_add(HEAD_BYTES)?, 8) {
                Some(large) => big_endian(large),
                None => return window.beyond(at),
            },
            length => length,
        };
        // A length of 0 means that the box reaches to the end of the file.
        if length < HEAD_BYTES {
            return None;
        }
        at = at.checked_add(length)?;
    }
}

/// The seconds in `mvhd`, which is among the first boxes of `moov`.
fn movie(window: Window<'_>, mut at: u64) -> Option<f64> {
    loop {
        let (length, name) = window.get(at, 8)?.split_at_checked(4)?;
        if name == b"mvhd" {
            return seconds(window, at.checked_add(HEAD_BYTES)?);
        }
        let length = Some(big_endian(length)).filter(|length| *length >= HEAD_BYTES)?;
        at = at.checked_add(length)?;
    }
}

fn seconds(window: Window<'_>, at: u64) -> Option<f64> {
    let [version, ..] = window.get(at, 1)? else { return None };
    // Two times of 4 or 8 bytes stand before the scale. The duration is as long as one of them.
    let (scale_at, length) = if *version == 1 { (20, 8) } else { (12, 4) };
    let scale = big_endian(window.get(at.checked_add(scale_at)?, 4)?);
    let duration = window.get(at.checked_add(scale_at)?.checked_add(4)?, length)?;
    // A duration of all ones means that it is unknown.
    let is_known = scale > 0 && duration.iter().any(|byte| *byte != 0xff);
    is_known.then(|| as_f64(big_endian(duration)) / as_f64(scale))
}
