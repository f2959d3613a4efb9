//! A small PNG to upload, and the size of a PNG that came back. No picture library: the work on pictures is the
//! provider's.

use std::io::Write;

use anyhow::{Context, Result, ensure};
use flate2::{Compression, Crc, write::ZlibEncoder};

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Width and height.
pub(super) type Size = (u32, u32);

/// A colour gradient with a bright disc, so that a result is worth a look.
pub(crate) fn png((width, height): Size) -> Result<Vec<u8>> {
    let mut rows = Vec::new();
    for y in 0..height {
        rows.push(0); // no filter
        for x in 0..width {
            let (dx, dy) =
                (f64::from(x) - f64::from(width) / 2.0, f64::from(y) - f64::from(height) / 2.0);
            let inside = dx.hypot(dy) < f64::from(width.min(height)) / 3.0;
            let shade =
                |part: u32, whole: u32| u8::try_from(part * 255 / whole.max(1)).unwrap_or(255);
            let blue = if inside { 60 } else { 150 };
            let red = if inside { 240 } else { shade(x, width) };
            rows.extend([red, shade(y, height), blue]);
        }
    }
    let mut pixels = ZlibEncoder::new(Vec::new(), Compression::default());
    pixels.write_all(&rows)?;
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    header.extend([8, 2, 0, 0, 0]); // 8 bits, RGB
    let mut file = SIGNATURE.to_vec();
    chunk(&mut file, b"IHDR", &header)?;
    chunk(&mut file, b"IDAT", &pixels.finish()?)?;
    chunk(&mut file, b"IEND", &[])?;
    Ok(file)
}

fn chunk(file: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) -> Result<()> {
    let mut sum = Crc::new();
    sum.update(kind);
    sum.update(data);
    file.extend(u32::try_from(data.len())?.to_be_bytes());
    file.extend(kind);
    file.extend(data);
    file.extend(sum.sum().to_be_bytes());
    Ok(())
}

/// What the header of a PNG says.
pub(super) fn size(file: &[u8]) -> Result<Size> {
    ensure!(file.starts_with(SIGNATURE), "the file is not a PNG");
    let number = |at: usize| -> Result<u32> {
        let bytes = file.get(at..at + 4).context("the PNG has no header")?;
        Ok(u32::from_be_bytes(bytes.try_into()?))
    };
    Ok((number(16)?, number(20)?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_picture_has_the_size_that_was_asked_for() {
        let file = super::png((31, 17)).unwrap();
        assert_eq!(super::size(&file).unwrap(), (31, 17));
        assert!(super::size(b"GIF89a").is_err());
    }
}
