//! The work of a prediction: it fetches both pictures, puts the garment on the person, stores the
//! result and sends the webhook. Garments are side by side, so that the result of a try-on shows
//! all of them.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anyhow::Context;
use image::imageops::FilterType;
use image::{DynamicImage, imageops};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::predictions::{Prediction, PredictionState};
use super::{ReplicateShared, webhook};
use crate::media::picture;
use crate::providers::script::WebhookFault;
use crate::providers::work_time::WorkTime;

/// It is short, because every test waits for it.
const WORK_MS: u64 = 300;
const INPUT_BYTES_MAX: usize = 64 * 1024 * 1024;
const FETCH_LIMIT: Duration = Duration::from_secs(20);
/// The number of columns for garments, from the left.
const PLACES: u32 = 5;
/// Pictures need much memory while they are changed, so only a few are at once.
static IN_WORK: Semaphore = Semaphore::const_new(2);

/// Runs one prediction until it ends or its time limit expires, and sends its webhook.
pub(super) async fn run(hub: Arc<ReplicateShared>, prediction: Prediction) {
    let early = prediction.behaviour.webhook == Some(WebhookFault::Early);
    let usual = if early { 0 } else { WORK_MS };
    let (id, text) = (&prediction.id, &prediction.submit_text);
    let mut time = hub.running.begin(id, text, &prediction.behaviour, usual);
    let work = work(&hub, &prediction, &mut time);
    let state = match prediction.order.cancel_after_s {
        None => work.await,
        Some(seconds) => match tokio::time::timeout(Duration::from_secs(seconds), work).await {
            Ok(state) => state,
            Err(_) => stopped(&hub, &prediction),
        },
    };
    // A cancelled prediction has ended already.
    if let Some(over) = hub.predictions.finish(&prediction.id, state) {
        let delivery = tokio::spawn(webhook::send(hub, over));
        if early {
            let _ = delivery.await;
        }
    }
}

/// The state after the time limit: `aborted` if the prediction had not started, or else `canceled`.
fn stopped(hub: &ReplicateShared, prediction: &Prediction) -> PredictionState {
    match hub.predictions.get(&prediction.id).map(|now| now.state) {
        Some(PredictionState::Starting) => PredictionState::Aborted,
        _ => PredictionState::Canceled,
    }
}

async fn work(
    hub: &ReplicateShared,
    prediction: &Prediction,
    time: &mut WorkTime,
) -> PredictionState {
    let behaviour = &prediction.behaviour;
    time.queued().await;
    if behaviour.prediction_status.as_deref() == Some("aborted") {
        return PredictionState::Aborted;
    }
    hub.predictions.start(&prediction.id);
    if behaviour.hang {
        return std::future::pending().await;
    }
    time.worked().await;
    if let Some(reason) = &behaviour.fail {
        return PredictionState::Failed { reason: reason.clone() };
    }
    match behaviour.prediction_status.as_deref() {
        None | Some("succeeded") => make(hub, prediction).await,
        Some("failed") => PredictionState::Failed { reason: "the model failed".to_owned() },
        Some("canceled") => PredictionState::Canceled,
        Some(word) => PredictionState::Other(word.to_owned()),
    }
}

async fn make(hub: &ReplicateShared, prediction: &Prediction) -> PredictionState {
    match composed(hub, prediction).await {
        Ok(file) => PredictionState::Succeeded { file },
        Err(error) => PredictionState::Failed { reason: format!("{error:#}") },
    }
}

async fn composed(hub: &ReplicateShared, prediction: &Prediction) -> anyhow::Result<String> {
    let input = &prediction.order.input;
    let fetch = async |url: &str| hub.client.download(url, INPUT_BYTES_MAX, FETCH_LIMIT).await;
    let person = fetch(&input.human_img).await.context("human_img not readable")?;
    let garment = fetch(&input.garm_img).await.context("garm_img not readable")?;
    let worn = {
        let known = hub.worn.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&Sha256::digest(&person).to_vec()).copied().unwrap_or(0)
    };
    let category = input.category.clone();
    let _place = IN_WORK.acquire().await?;
    let output = tokio::task::spawn_blocking(move || {
        let person = image::load_from_memory(&person).context("human_img is no picture")?;
        let garment = image::load_from_memory(&garment).context("garm_img is no picture")?;
        put_on(person, &garment, &category, worn)
    });
    let output = output.await??;
    hub.worn
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(Sha256::digest(&output).to_vec(), worn + 1);
    hub.files.save("png", output).await
}

/// Draws the garment on the person. The category chooses its height, and the number of garments
/// that are worn already chooses its column.
fn put_on(
    mut person: DynamicImage,
    garment: &DynamicImage,
    category: &str,
    worn: u32,
) -> anyhow::Result<Vec<u8>> {
    let (width, height) = (person.width(), person.height());
    let (top, bottom) = match category {
        "upper_body" => (1, 2),
        "lower_body" => (2, 3),
        _ => (1, 3),
    };
    let column = worn % PLACES;
    let (left, right) = (width * column / PLACES, width * (column + 1) / PLACES);
    let (top, bottom) = (height * top / 4, height * bottom / 4);
    let (across, down) = ((right - left).max(1), (bottom - top).max(1));
    let garment = garment.resize_exact(across, down, FilterType::Nearest);
    imageops::overlay(&mut person, &garment, i64::from(left), i64::from(top));
    picture::write(&person)
}

#[cfg(test)]
mod tests {
    use super::put_on;
    use image::{DynamicImage, Rgb, RgbImage};

    #[test]
    fn garments_lie_beside_each_other() {
        let plain = |colour| DynamicImage::ImageRgb8(RgbImage::from_pixel(20, 16, Rgb(colour)));
        let colours = [[255, 0, 0], [0, 255, 0], [0, 0, 255]];
        let mut person = plain([9, 9, 9]);
        for (worn, colour) in (0..).zip(colours) {
            let output = put_on(person, &plain(colour), "upper_body", worn).unwrap();
            person = image::load_from_memory(&output).unwrap();
        }
        let person = person.to_rgb8();
        assert_eq!((person.width(), person.height()), (20, 16));
        for (column, colour) in (0..).zip(colours) {
            assert_eq!(person.get_pixel(column * 4 + 1, 5).0, colour);
        }
        assert_eq!(person.get_pixel(1, 1).0, [9, 9, 9]);
    }
}
