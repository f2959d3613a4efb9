//! Reads the duration of a WebM or Matroska video from `Segment/Info`. Sources: RFC 8794 (EBML),
//! RFC 9559 (Matroska).

use super::window::{FileSize, Found, Reading, Window, as_f64, big_endian};

const SEGMENT: u64 = 0x1853_8067;
const INFO: u64 = 0x1549_a966;
/// The frames. Nothing is searched for behind them.
const CLUSTER: u64 = 0x1f43_b675;
const SCALE: u64 = 0x2a_d7b1;
const DURATION: u64 = 0x4489;
/// The nanoseconds of one tick, if the file does not name them.
const SCALE_DEFAULT: u64 = 1_000_000;

/// The head of an element: its id, and where its content begins and ends.
struct Element {
    id: u64,
    begin: u64,
    /// `None`: the size is unknown, as in a live recording.
    end: Option<u64>,
}

/// Follows the elements from `at` into the segment and to its `Info`.
pub(super) fn duration(window: Window<'_>, mut at: u64) -> Found {
    loop {
        let Some(element) = element(window, at) else { return window.beyond(at) };
        match element.id {
            SEGMENT => at = element.begin,
            CLUSTER => return None,
            INFO => {
                return match info(window, element.begin, element.end?) {
                    Some(seconds) => Some(Reading::Of(FileSize::Seconds(seconds))),
                    None => window.beyond(at),
                };
            }
            _ => at = element.end?,
        }
    }
}

fn info(window: Window<'_>, mut at: u64, end: u64) -> Option<f64> {
    let (mut scale, mut ticks) = (SCALE_DEFAULT, None);
    while at < end {
        let element = element(window, at)?;
        let (begin, next) = (element.begin, element.end?);
        let length = usize::try_from(next.checked_sub(begin)?).ok()?;
        match element.id {
            SCALE if length <= 8 => scale = big_endian(window.get(begin, length)?),
            DURATION => ticks = Some(float(window.get(begin, length)?)?),
            _ => {}
        }
        at = next;
    }
    Some(ticks? * as_f64(scale) / 1e9)
}

fn float(bytes: &[u8]) -> Option<f64> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(f64::from(f32::from_be_bytes(bytes)));
    }
    Some(f64::from_be_bytes(bytes.try_into().ok()?))
}

fn element(window: Window<'_>, at: u64) -> Option<Element> {
    // An id includes its length marker; a size does not.
    let (id, id_bytes) = variable(window, at, 4)?;
    let size_at = at.checked_add(id_bytes)?;
    let (marked, size_bytes) = variable(window, size_at, 8)?;
    let mark = 1_u64 << (7 * size_bytes);
    let begin = size_at.checked_add(size_bytes)?;
    let size = marked.checked_sub(mark)?;
    let end = if size == mark - 1 { None } else { Some(begin.checked_add(size)?) };
    Some(Element { id, begin, end })
}

/// A number whose first byte gives its length by its leading zeros, and the number of its bytes.
fn variable(window: Window<'_>, at: u64, bytes_max: u32) -> Option<(u64, u64)> {
    let [first, ..] = window.get(at, 1)? else { return None };
    let length = first.leading_zeros() + 1;
    if length > bytes_max {
        return None;
    }
    let bytes = window.get(at, usize::try_from(length).ok()?)?;
    Some((big_endian(bytes), u64::from(length)))
}
