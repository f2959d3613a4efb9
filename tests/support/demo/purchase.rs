//! What the users of a story order, and what each of them must have in the end.

use serde_json::Value;
use uuid::Uuid;

use super::receipt::{PictureSize, Receipt, Sold};
use crate::e2e::cards::Cards;
use crate::e2e::order::{CREDITS, MediaTool, Order, UPSCALER, VIDEO, upload};
use crate::e2e::{FunctionCall, TestUser, World};

/// One order of a seeded user, and what that user had before.
pub(super) struct Purchase {
    pub(super) person: &'static str,
    pub(super) order: Order,
    /// The size of the uploaded picture.
    size: PictureSize,
    /// Credits before the order.
    pub(super) before: i64,
}

impl Purchase {
    /// Uploads a picture as `user<number>`; nothing is ordered yet.
    pub(super) async fn upload(world: &World, number: usize) -> Self {
        let size = (120, 80);
        let user = world.user(number).await;
        let url = world.upload_png(&user, size.0, size.1).await;
        Self::of(world, number, &UPSCALER, &url, size).await
    }

    /// Uploads a clip as `user<number>`; nothing is ordered yet.
    pub(super) async fn upload_clip(world: &World, number: usize) -> Self {
        let user = world.user(number).await;
        let url = upload(world, &user, "videoUrl").await;
        Self::of(world, number, &VIDEO, &url, (0, 0)).await
    }

    async fn of(
        world: &World,
        number: usize,
        tool: &'static MediaTool,
        url: &str,
        size: PictureSize,
    ) -> Self {
        let (person, user, before) = person(world, number).await;
        Self { person, order: Order::with(tool, user, &[url]), size, before }
    }

    /// Uploads a picture and orders its job, which must have that status in the answer.
    pub(super) async fn order(world: &World, number: usize, status: &str) -> Self {
        let purchase = Self::upload(world, number).await;
        let answer = purchase.run(world).ok().await;
        assert_eq!(answer["status"], status, "{}: {answer}", purchase.person);
        purchase
    }

    pub(super) fn run<'a>(&self, world: &'a World) -> FunctionCall<'a> {
        self.order.run(world)
    }

    pub(super) async fn until_completed(&self, world: &World) {
        let what = format!("{}'s job is completed", self.person);
        let look = async || {
            Some(self.order.status(world).await).filter(|seen| seen["status"] == "completed")
        };
        world.until(&what, look).await;
    }

    fn sale(&self) -> Sale<'_> {
        let is_video = *self.order.tool == VIDEO;
        let sold = if is_video { Sold::Video } else { Sold::Picture { from: self.size } };
        let Self { person, order, before, .. } = self;
        Sale { person, user: &order.user, job: order.job, before: *before, sold }
    }
}

/// One card of a seeded user, and what that user had before.
pub(super) struct CardPurchase {
    person: &'static str,
    pub(super) cards: Cards,
    before: i64,
}

impl CardPurchase {
    /// Uploads a product as `user<number>`; nothing is ordered yet.
    pub(super) async fn upload(world: &World, number: usize) -> Self {
        let (person, user, before) = person(world, number).await;
        Self { person, cards: Cards::of(world, user, &[0]).await, before }
    }

    /// The receipt of a delivered card.
    pub(super) async fn bought(&self, world: &World) -> Vec<Receipt> {
        let Self { person, cards, before } = self;
        let Cards { user, job, .. } = cards;
        let sale = Sale { person, user, job: *job, before: *before, sold: Sold::Card };
        let receipt = Receipt::read(world, &sale).await;
        assert_delivered(&receipt, crate::e2e::cards::PRICE);
        vec![receipt]
    }
}

/// What [`Receipt::read`] needs to know of an order.
pub(super) struct Sale<'a> {
    pub(super) person: &'static str,
    pub(super) user: &'a TestUser,
    pub(super) job: Uuid,
    /// Credits before the order.
    pub(super) before: i64,
    pub(super) sold: Sold,
}

/// Signs `user<number>` in and reads their balance.
async fn person(world: &World, number: usize) -> (&'static str, TestUser, i64) {
    let person = ["user1", "user2", "user3", "user4", "user5"][number - 1];
    let user = world.user(number).await;
    let before = world.balance(&user).await;
    assert!(before <= CREDITS, "{person} begins with {CREDITS} credits");
    (person, user, before)
}

async fn receipts(world: &World, purchases: &[Purchase]) -> Vec<Receipt> {
    let mut receipts = Vec::new();
    for purchase in purchases {
        receipts.push(Receipt::read(world, &purchase.sale()).await);
    }
    receipts
}

/// Asserts that nothing was sold: each charge was refunded, and the job's message begins with
/// `code`.
pub(super) async fn returned(world: &World, purchases: &[Purchase], code: &str) -> Vec<Receipt> {
    let receipts = receipts(world, purchases).await;
    for (receipt, purchase) in receipts.iter().zip(purchases) {
        let price = purchase.order.tool.price;
        assert_eq!((receipt.charged, receipt.refunded), (price, price), "{}", receipt.person);
        let message = receipt.message.as_deref().unwrap_or_default();
        assert!(message.starts_with(&format!("{code}: ")), "no {code} at the start of: {message}");
    }
    receipts
}

/// Asserts that each purchase was delivered and paid once.
pub(super) async fn bought(world: &World, purchases: &[Purchase]) -> Vec<Receipt> {
    let receipts = receipts(world, purchases).await;
    for (receipt, purchase) in receipts.iter().zip(purchases) {
        assert_delivered(receipt, purchase.order.tool.price);
    }
    receipts
}

fn assert_delivered(receipt: &Receipt, price: i64) {
    assert_eq!((receipt.charged, receipt.refunded), (price, 0), "{}", receipt.person);
    assert_eq!(receipt.status, "completed", "{}", receipt.person);
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
