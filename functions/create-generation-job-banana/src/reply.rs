//! The replies to orders and reads of product cards.

use serde::Serialize;
use serde_json::Value;
use shared::core::id::JobId;
use shared::core::job::State;
use shared::core::reply::Success;
use shared::db::job::{JobRow, JobView, TaskView};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CardsAccepted {
    success: Success,
    job_id: JobId,
    total_cards: usize,
    credits_charged: i64,
    credits_refunded: i64,
    balance: i64,
    status: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replayed: bool,
}

impl CardsAccepted {
    pub(crate) fn of(view: &JobView, total_cards: usize) -> Self {
        Self {
            success: Success,
            job_id: view.job_id,
            total_cards,
            credits_charged: view.credits_charged,
            credits_refunded: view.credits_refunded,
            balance: view.balance,
            status: view.status.processing_word(),
            replayed: view.replayed,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CardsStatus {
    job_id: JobId,
    status: &'static str,
    total_cards: i32,
    completed_cards: usize,
    tasks: Vec<CardStatus>,
    credits_charged: i64,
    credits_refunded: i64,
    error_message: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CardStatus {
    card_index: Option<Value>,
    status: &'static str,
    image_url: Option<String>,
    last_error: Option<String>,
}

impl CardsStatus {
    pub(crate) fn of(row: JobRow) -> Self {
        let cards = row.tasks.unwrap_or_default();
        Self {
            job_id: row.view.job_id,
            status: row.view.status.processing_word(),
            total_cards: row.total_steps,
            completed_cards: cards.iter().filter(|card| card.status == State::Completed).count(),
            tasks: cards.into_iter().map(CardStatus::of).collect(),
            credits_charged: row.view.credits_charged,
            credits_refunded: row.view.credits_refunded,
            error_message: row.view.error_message,
        }
    }
}

impl CardStatus {
    fn of(card: TaskView) -> Self {
        Self {
            card_index: card.card,
            status: if card.retrying { "retrying" } else { card.status.processing_word() },
            image_url: card.output_url,
            last_error: card.error_message,
        }
    }
}
