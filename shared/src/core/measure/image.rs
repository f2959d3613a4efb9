//! Reads the size of a picture. Sources: the specifications of PNG (IHDR), GIF89a (logical screen),
//! WebP (RFC 9649) and JPEG (ITU T.81, B.2).

use super::window::{Found, Window, big_endian, pixels};

pub(super) fn png(window: Window<'_>) -> Found {
    let sides = window.get(12, 12)?.strip_prefix(b"IHDR")?;
    let (width, height) = sides.split_at_checked(4)?;
    pixels(big_endian(width), big_endian(height))
}

pub(super) fn gif(window: Window<'_>) -> Found {
    pixels(little_endian(window.get(6, 2)?), little_endian(window.get(8, 2)?))
}

pub(super) fn webp(window: Window<'_>) -> Found {
    match window.get(12, 4)? {
        b"VP8X" => {
            let side = |at| Some(little_endian(window.get(at, 3)?) + 1);
            pixels(side(24)?, side(27)?)
        }
        b"VP8L" => {
            let bits = little_endian(window.get(20, 5)?.strip_prefix(&[0x2f])?);
            pixels((bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1)
        }
        b"VP8 " => {
            let sides = window.get(23, 7)?.strip_prefix(&[0x9d, 0x01, 0x2a])?;
            let (width, height) = sides.split_at_checked(2)?;
            pixels(little_endian(width) & 0x3fff, little_endian(height) & 0x3fff)
        }
        _ => None,
    }
}

/// Follows the markers from `at` to the frame's header.
pub(super) fn jpeg(window: Window<'_>, mut at: u64) -> Found {
    loop {
        let Some(marker) = window.get(at, 2) else { return window.beyond(at) };
        match marker {
            // A fill byte before a marker.
            [0xff, 0xff] => at = at.checked_add(1)?,
            [0xff, 0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf] => {
                let Some(frame) = window.get(at, 9) else { return window.beyond(at) };
                let (height, width) = (frame.get(5..7)?, frame.get(7..9)?);
                return pixels(big_endian(width), big_endian(height));
            }
            // The picture's data or its end follows without a frame header before it.
            [0xff, 0xd9 | 0xda] => return None,
            // Markers without a length.
            [0xff, 0x01 | 0xd0..=0xd8] => at = at.checked_add(2)?,
            [0xff, _] => {
                let Some(segment) = window.get(at, 4) else { return window.beyond(at) };
                let length = big_endian(segment.get(2..)?);
                at = at.checked_add(2)?.checked_add(length)?;
                if length < 2 {
                    return None;
                }
            }
            _ => return None,
        }
    }
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}
