//! A short video as frames. It holds what the container and the codec need to know, and knows
//! neither.

use image::GrayImage;
use image::imageops::{self, FilterType};

use super::{h264, mp4};

/// Ten frames a second.
pub(super) const FRAME_MS: u32 = 100;
/// A side is a whole number of the codec's blocks.
pub(super) const BLOCK: u32 = 16;

/// One picture: its shades, and two planes of colour at half its size.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    pub(super) planes: [GrayImage; 3],
}

impl Frame {
    /// How light each pixel is, row by row.
    pub fn shades(&self) -> &[u8] {
        self.planes[0].as_raw()
    }

    pub(super) fn black(width: u32, height: u32) -> Self {
        Self { planes: [1, 2, 2].map(|part| GrayImage::new(width / part, height / part)) }
    }

    fn enlarged(&self) -> Self {
        let twice = |plane: &GrayImage| {
            imageops::resize(plane, plane.width() * 2, plane.height() * 2, FilterType::Lanczos3)
        };
        Self { planes: self.planes.each_ref().map(twice) }
    }
}

/// Frames of one size, at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Clip {
    frames: Vec<Frame>,
}

impl Clip {
    /// Frames of equal size, whose sides are whole numbers of blocks.
    pub(super) fn of(frames: Vec<Frame>) -> Option<Self> {
        let size = frames.first()?.planes[0].dimensions();
        let fits = size.0 > 0 && size.1 > 0 && size.0 % BLOCK == 0 && size.1 % BLOCK == 0;
        let alike = frames.iter().all(|frame| frame.planes[0].dimensions() == size);
        (fits && alike).then_some(Self { frames })
    }

    /// A light bar that moves over a ground of changing colour; sides are rounded up to whole
    /// blocks.
    pub fn moving(width: u32, height: u32, frames: u32) -> Self {
        let (width, height) =
            (width.max(1).next_multiple_of(BLOCK), height.max(1).next_multiple_of(BLOCK));
        let frames = frames.max(1);
        let frame = |number: u32| {
            let bar = number * width / frames;
            let shade = |x: u32| if x.abs_diff(bar) < 4 { 220 } else { 60 };
            let ramp = |value: u32, of: u32| u8::try_from(value * 255 / of.max(1)).unwrap_or(255);
            Frame {
                planes: [
                    GrayImage::from_fn(width, height, |x, _| image::Luma([shade(x)])),
                    GrayImage::from_fn(width / 2, height / 2, |x, _| {
                        image::Luma([ramp(x, width / 2)])
                    }),
                    GrayImage::from_fn(width / 2, height / 2, |_, y| {
                        image::Luma([ramp(y, height / 2)])
                    }),
                ],
            }
        };
        Self { frames: (0..frames).map(frame).collect() }
    }

    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    pub fn size(&self) -> (u32, u32) {
        self.frames[0].planes[0].dimensions()
    }

    pub(super) fn enlarged(&self) -> Self {
        Self { frames: self.frames.iter().map(Frame::enlarged).collect() }
    }

    /// As MP4.
    pub fn write(&self) -> Vec<u8> {
        let samples = self
            .frames
            .iter()
            .enumerate()
            .map(|(number, frame)| h264::picture(frame, number))
            .collect();
        mp4::write(self.size(), &h264::parameters(self.size()), samples)
    }

    /// Reads what `write` wrote; nothing else.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mp4::Content { size, samples } = mp4::read(bytes)?;
        Self::of(
            samples
                .into_iter()
                .map(|sample| h264::read_picture(sample, size))
                .collect::<Option<_>>()?,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_is_read_as_it_was_written() {
        for (width, height, frames) in [(16, 16, 1), (48, 32, 5), (20, 3, 2)] {
            let clip = Clip::moving(width, height, frames);
            assert_eq!(Clip::read(&clip.write()), Some(clip));
        }
    }

    #[test]
    fn a_clip_cut_short_anywhere_is_none() {
        let bytes = Clip::moving(16, 16, 2).write();
        for end in 0..bytes.len() {
            assert_eq!(Clip::read(&bytes[..end]), None, "{end}");
        }
    }
}
