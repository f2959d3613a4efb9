//! Enlarges a video and reads what tests compare. It decodes no frame: an enlarged video keeps its
//! frames and is displayed at twice the size, which every player honours.

use anyhow::{Result, bail};

/// The length of a `tkhd` box, header included, in its versions 0 and 1 (ISO/IEC 14496-12, 8.3.2).
const TRACK_HEADER_BYTES: [u32; 2] = [92, 104];

/// Returns the MP4 with the display width and height of every track doubled.
///
/// Fails if the input holds no track header.
pub(crate) fn enlarged(input: &[u8]) -> Result<Vec<u8>> {
    let mut output = input.to_vec();
    let headers = track_headers(input);
    if headers.is_empty() {
        bail!("not a video");
    }
    // Width and height are the last two words of a track header, as 16.16 fixed-point numbers.
    for at in headers.into_iter().flat_map(|end| [end - 8, end - 4]) {
        let doubled = word(input, at).map(|side| side.saturating_mul(2).to_be_bytes());
        if let (Some(doubled), Some(side)) = (doubled, output.get_mut(at..at + 4)) {
            side.copy_from_slice(&doubled);
        }
    }
    Ok(output)
}

/// Returns the offset behind the last byte of each `tkhd` box.
fn track_headers(bytes: &[u8]) -> Vec<usize> {
    let ends = (0..bytes.len()).filter_map(|at| {
        let length = word(bytes, at).filter(|length| TRACK_HEADER_BYTES.contains(length))?;
        let end = at + usize::try_from(length).ok()?;
        (bytes.get(at + 4..at + 8)? == b"tkhd" && end <= bytes.len()).then_some(end)
    });
    ends.collect()
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// What an MP4 with one track shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoContent {
    /// Display width and height in pixels, from the track header.
    pub size: (u16, u16),
    /// The encoded frames in order.
    pub frames: Vec<Vec<u8>>,
}

impl VideoContent {
    /// Reads an MP4; `None` if it is none or lacks a frame that its index names.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let video = re_mp4::Mp4::read_bytes(bytes).ok()?;
        let track = video.tracks().values().next()?;
        let frame = |sample: &re_mp4::Sample| {
            let start = usize::try_from(sample.offset).ok()?;
            let length = usize::try_from(sample.size).ok()?;
            Some(bytes.get(start..start + length)?.to_vec())
        };
        let frames = track.samples.iter().map(frame).collect::<Option<_>>()?;
        Some(Self { size: (track.width, track.height), frames })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{LONG_CLIP, SHORT_CLIP};

    #[test]
    fn an_enlarged_video_has_twice_the_size_and_the_same_frames() {
        for (clip, size, count) in [(SHORT_CLIP, (32, 16), 3), (LONG_CLIP, (160, 96), 30)] {
            let before = VideoContent::read(clip).unwrap();
            assert_eq!((before.size, before.frames.len()), (size, count));
            let after = VideoContent::read(&enlarged(clip).unwrap()).unwrap();
            assert_eq!(after.size, (size.0 * 2, size.1 * 2));
            assert_eq!(after.frames, before.frames);
        }
    }

    #[test]
    fn a_clip_that_is_cut_short_is_not_read() {
        for end in 0..SHORT_CLIP.len() {
            assert_eq!(VideoContent::read(&SHORT_CLIP[..end]), None, "{end}");
        }
    }

    #[test]
    fn a_file_that_is_no_video_is_refused() {
        for bad in [&b"hello"[..], b"", b"\x89PNG\r\n\x1a\n----", &[0; 64], b"\0\0\0\x5ctkhd"] {
            assert!(enlarged(bad).is_err());
        }
    }
}
