//! Work on videos. A clip of ours is read, each of its frames enlarged, and written again. No other
//! video can be
//! decoded here: it keeps its frames, and its track is presented at twice the size, which every
//! player shows so.

use anyhow::{Result, bail};

use super::{Clip, mp4};

/// An MP4 of exactly twice the width and the height.
pub(crate) fn enlarged(input: &[u8]) -> Result<Vec<u8>> {
    if let Some(clip) = Clip::read(input) {
        return Ok(clip.enlarged().write());
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
    use crate::media::Frame;

    #[test]
    fn every_frame_is_enlarged() {
        let clip = Clip::moving(32, 16, 3);
        let output = Clip::read(&enlarged(&clip.write()).unwrap()).unwrap();
        assert_eq!((output.size(), output.frames().len()), ((64, 32), 3));
        for (before, after) in clip.frames().iter().zip(output.frames()) {
            let mean = |frame: &Frame| {
                let shades = frame.shades();
                shades.iter().map(|shade| u64::from(*shade)).sum::<u64>() / shades.len() as u64
            };
            assert!(mean(before).abs_diff(mean(after)) <= 2, "the same picture");
        }
    }

    #[test]
    fn another_encoder_s_video_keeps_its_frames_and_is_presented_larger() {
        // As if its pictures were compressed: another macroblock type than ours.
        let input = Clip::moving(32, 16, 1).write();
        let mut foreign = input.clone();
        let name = foreign.windows(4).position(|four| four == b"avcC").unwrap();
        foreign[name..name + 4].copy_from_slice(b"hvcC");
        assert!(Clip::read(&foreign).is_none());
        let output = enlarged(&foreign).unwrap();
        assert_eq!(output.len(), foreign.len());
        assert_eq!(
            (mp4::presented_size(&input), mp4::presented_size(&output)),
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
