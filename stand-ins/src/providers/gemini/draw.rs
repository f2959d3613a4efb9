//! Draws a card for a prompt: the words choose its colours and are written on it, and the product
//! image is in the middle.

use anyhow::Context;
use font8x8::UnicodeFonts;
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};
use sha2::{Digest, Sha256};

use crate::media::picture;

/// The longer side in pixels. It is small, because tests draw hundreds of cards.
const SIDE: u32 = 320;
const MARGIN: u32 = 12;
const LINES_MAX: usize = 12;

pub(super) fn card(prompt: &str, ratio: (u32, u32), images: &[Vec<u8>]) -> anyhow::Result<Vec<u8>> {
    let (wide, high) = (ratio.0.max(1), ratio.1.max(1));
    let longer = wide.max(high);
    let (width, height) = ((SIDE * wide / longer).max(40), (SIDE * high / longer).max(40));
    let colours = Sha256::digest(prompt.as_bytes());
    let channel = |at: usize, low: u8| low + colours[at] % 96;
    let (top, bottom) = (
        [channel(0, 150), channel(1, 150), channel(2, 150)],
        [channel(3, 60), channel(4, 60), channel(5, 60)],
    );
    let mix = |row: u32, at: usize| {
        let (from, to) = (u32::from(top[at]), u32::from(bottom[at]));
        u8::try_from((from * (height - row) + to * row) / height).unwrap_or(u8::MAX)
    };
    let mut card =
        RgbImage::from_fn(width, height, |_, row| Rgb([mix(row, 0), mix(row, 1), mix(row, 2)]));
    if let Some(bytes) = images.first() {
        let product = image::load_from_memory(bytes).context("picture not readable")?;
        let product = product.resize(width * 3 / 5, height * 2 / 5, FilterType::Triangle).to_rgb8();
        let (x, y) = (
            (width - product.width()) / 2,
            height - product.height().min(height) - MARGIN.min(height),
        );
        imageops::replace(&mut card, &product, i64::from(x), i64::from(y));
    }
    write(&mut card, prompt);
    picture::write_jpeg(&card.into())
}

/// Writes the prompt's words from the top, wrapped.
fn write(card: &mut RgbImage, prompt: &str) {
    let columns = (card.width().saturating_sub(2 * MARGIN) / 8).max(1) as usize;
    let mut lines = vec![String::new()];
    for word in prompt.split_whitespace() {
        let last = lines.last_mut().expect("there is always a line");
        match last.is_empty() || last.chars().count() + 1 + word.chars().count() <= columns {
            true if last.is_empty() => last.push_str(word),
            true => {
                last.push(' ');
                last.push_str(word);
            }
            false => lines.push(word.to_owned()),
        }
    }
    let rows = (card.height().saturating_sub(2 * MARGIN) / 12) as usize;
    for (line, y) in lines.iter().take(rows.min(LINES_MAX)).zip((MARGIN..).step_by(12)) {
        for (letter, x) in line.chars().take(columns).zip((MARGIN..).step_by(8)) {
            stamp(card, letter, x, y);
        }
    }
}

fn stamp(card: &mut RgbImage, letter: char, x: u32, y: u32) {
    let Some(glyph) = font8x8::BASIC_FONTS.get(letter).or_else(|| font8x8::LATIN_FONTS.get(letter))
    else {
        return;
    };
    for (row, bits) in (0_u32..).zip(glyph) {
        for column in (0..8).filter(|column| bits & (1 << column) != 0) {
            if let Some(pixel) = card.get_pixel_mut_checked(x + column, y + row) {
                *pixel = Rgb([20, 20, 30]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_have_the_asked_shape_and_differ_by_their_words() {
        let of = |prompt: &str, ratio| card(prompt, ratio, &[]).unwrap();
        let picture = image::load_from_memory(&of("Product card 1", (3, 4))).unwrap();
        assert_eq!((picture.width(), picture.height()), (240, 320));
        assert_ne!(of("Product card 1", (3, 4)), of("Product card 2", (3, 4)));
        let inner = of("A product", (1, 1));
        assert_ne!(card("A product", (1, 1), std::slice::from_ref(&inner)).unwrap(), inner);
        assert!(card("x", (1, 1), &[b"no picture".to_vec()]).is_err());
        for ratio in [(1, 8), (8, 1), (21, 9)] {
            assert!(image::load_from_memory(&of("many words in a narrow place", ratio)).is_ok());
        }
    }
}
