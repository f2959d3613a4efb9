//! The seven product cards and their prompts.

use crate::input::CardsInput;
use serde_json::Value;
use shared::core::provider::gemini;
use std::fmt::Write;

/// The title of each card, and the picture that it must show.
const CARDS: [(&str, &str); 7] = [
    (
        "cover",
        "the product large and centred, its name as the headline, a clean background that suits it",
    ),
    ("benefits", "the product beside three short benefits, each with a simple icon"),
    ("details", "two or three close-ups of material and workmanship with short captions"),
    ("size", "the product with its dimensions as thin measuring lines"),
    ("in use", "the product in a natural scene where it is used, with one short line of text"),
    ("how to use", "three numbered steps that show how the product is used"),
    ("what is included", "everything that is in the box, laid out in order and labelled"),
];

/// Returns one complete provider request for each selected card.
pub(crate) fn steps(input: &CardsInput, urls: &[String]) -> Vec<Value> {
    let cards = input
        .selected_cards
        .iter()
        .filter_map(|number| Some((number, CARDS.get(usize::from(*number))?)));
    let prompts = cards.map(|(number, (title, shows))| prompt(input, *number, title, shows));
    prompts.map(|prompt| gemini::stored_request(urls, &prompt, &input.aspect_ratio)).collect()
}

fn prompt(input: &CardsInput, number: u8, title: &str, shows: &str) -> String {
    let mut text = format!(
        "Product card {number} ({title}) for a shop listing of \"{}\".",
        input.product_name
    );
    // Writing into a `String` cannot fail.
    if let Some(category) = &input.category {
        let _ = write!(text, " Category: {category}.");
    }
    if let Some(description) = &input.description {
        let _ = write!(text, " About it: {description}");
    }
    let _ = write!(
        text,
        "\nShow {shows}. Keep the product exactly as it is in the pictures. \
         Answer with the image only."
    );
    text
}
