//! Draws and changes pictures. The output is a PNG unless the function's name says otherwise.

use std::io::Cursor;

use anyhow::{Context, bail};
use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageFormat, ImageReader, Limits};

const INPUT_SIDE_MAX: u32 = 8192;

/// A PNG whose colour at (x, y) is `[red, green, blue]`.
pub fn png(width: u32, height: u32, colour: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
    let picture = image::RgbImage::from_fn(width, height, |x, y| image::Rgb(colour(x, y)));
    write(&DynamicImage::ImageRgb8(picture)).expect("a PNG in memory")
}

/// The picture with exactly twice the width and the height.
pub(crate) fn enlarged(input: &[u8]) -> anyhow::Result<Vec<u8>> {
    let picture = read(input)?;
    write(&picture.resize_exact(picture.width() * 2, picture.height() * 2, FilterType::Lanczos3))
}

/// The first picture on the left, unchanged; on the right the second one, resized to the size of
/// the first.
pub(crate) fn side_by_side(first: &[u8], second: &[u8]) -> anyhow::Result<Vec<u8>> {
    let (first, second) = (read(first)?.into_rgb8(), read(second)?.into_rgb8());
    let (width, height) = first.dimensions();
    let second = imageops::resize(&second, width, height, FilterType::Lanczos3);
    let mut both = image::RgbImage::new(width * 2, height);
    imageops::replace(&mut both, &first, 0, 0);
    imageops::replace(&mut both, &second, i64::from(width), 0);
    write(&DynamicImage::ImageRgb8(both))
}

fn read(input: &[u8]) -> anyhow::Result<DynamicImage> {
    let mut reader = ImageReader::new(Cursor::new(input)).with_guessed_format()?;
    if reader.format().is_none() {
        bail!("not a picture");
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(INPUT_SIDE_MAX);
    limits.max_image_height = Some(INPUT_SIDE_MAX);
    reader.limits(limits);
    reader.decode().context("picture not readable")
}

pub(crate) fn write(picture: &DynamicImage) -> anyhow::Result<Vec<u8>> {
    let mut output = Cursor::new(Vec::new());
    picture.write_to(&mut output, ImageFormat::Png)?;
    Ok(output.into_inner())
}

/// Writes a picture as a JPEG.
pub(crate) fn write_jpeg(picture: &DynamicImage) -> anyhow::Result<Vec<u8>> {
    let mut output = Cursor::new(Vec::new());
    picture.write_to(&mut output, ImageFormat::Jpeg)?;
    Ok(output.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn plain(width: u32, height: u32, colour: [u8; 3]) -> Vec<u8> {
        png(width, height, |_, _| colour)
    }

    fn as_jpeg(png: &[u8]) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        read(png).unwrap().write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn the_output_is_a_png_of_exactly_twice_the_size() {
        let input = plain(7, 3, [200, 10, 10]);
        for input in [as_jpeg(&input), input] {
            let output = enlarged(&input).unwrap();
            assert_eq!(image::guess_format(&output).unwrap(), ImageFormat::Png);
            let picture = image::load_from_memory(&output).unwrap();
            assert_eq!((picture.width(), picture.height()), (14, 6));
        }
    }

    #[test]
    fn two_pictures_stand_side_by_side_in_the_first_one_s_size() {
        let first = plain(5, 4, [200, 10, 10]);
        let second = plain(9, 9, [10, 10, 200]);
        let both =
            image::load_from_memory(&side_by_side(&first, &second).unwrap()).unwrap().into_rgb8();
        assert_eq!(both.dimensions(), (10, 4));
        assert_eq!(
            (both.get_pixel(4, 3), both.get_pixel(5, 0)),
            (&Rgb([200, 10, 10]), &Rgb([10, 10, 200]))
        );
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let picture = plain(2, 2, [0; 3]);
        assert!(enlarged(b"hello").is_err());
        assert!(enlarged(b"\x89PNG\r\n\x1a\n----").is_err());
        assert!(side_by_side(&picture, b"hello").is_err());
    }
}
