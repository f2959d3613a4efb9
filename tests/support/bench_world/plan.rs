//! Draws from a seeded generator what each order is and what goes wrong with it. A seed gives the
//! same orders on every machine.

use proptest::strategy::{Just, Strategy, Union, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::e2e::order::{MediaTool, POSE, UPSCALER, VESTE, VIDEO};

/// Which tool an order asks for, and how much of it.
#[derive(Clone, Copy, Debug)]
pub(super) enum PlannedTool {
    Media(&'static MediaTool),
    Cards(usize),
    TryOn(usize),
    Website,
}

impl PlannedTool {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Media(tool) => tool.name,
            Self::Cards(_) => "create-generation-job-banana",
            Self::TryOn(_) => "replicate-async-start",
            Self::Website => "generate-website",
        }
    }

    /// The provider's name in a script of rules.
    pub(super) fn provider(self) -> &'static str {
        match self {
            Self::Media(_) => "runninghub",
            Self::Cards(_) => "gemini",
            Self::TryOn(_) => "replicate",
            Self::Website => "llm",
        }
    }
}

/// How the provider ends its work on an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProviderEnd {
    /// It makes the result, or a part of what was ordered.
    Makes,
    /// It makes nothing: it refuses or fails.
    Refuses,
    /// It makes nothing and never says so.
    Hangs,
}

/// How a provider misbehaves towards one order: rules of a script, without their `match`.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) name: &'static str,
    pub(super) rules: Vec<Value>,
    pub(super) end: ProviderEnd,
}

/// What the client does besides ordering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientHabit {
    Waits,
    /// Sends the same request twice at once.
    OrdersTwice,
    /// Cancels the job as soon as it is accepted.
    Cancels,
}

/// One order of the bench.
#[derive(Clone, Debug)]
pub(super) struct OrderPlan {
    pub(super) tool: PlannedTool,
    pub(super) trouble: Trouble,
    pub(super) habit: ClientHabit,
}

/// Draws `count` orders.
pub(super) fn draw(count: usize, seed: u64) -> Vec<OrderPlan> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let plans = tools().prop_flat_map(|tool| (Just(tool), troubles(tool), habits()));
    let mut one = || plans.new_tree(&mut runner).expect("a plan").current();
    (0..count)
        .map(|_| one())
        .map(|(tool, trouble, habit)| OrderPlan { tool, trouble, habit })
        .collect()
}

fn tools() -> impl Strategy<Value = PlannedTool> {
    weighted(vec![
        (20, PlannedTool::Media(&UPSCALER)),
        (12, PlannedTool::Media(&VIDEO)),
        (10, PlannedTool::Media(&POSE)),
        (10, PlannedTool::Media(&VESTE)),
        (9, PlannedTool::Cards(1)),
        (9, PlannedTool::Cards(2)),
        (9, PlannedTool::TryOn(1)),
        (9, PlannedTool::TryOn(2)),
        (12, PlannedTool::Website),
    ])
}

fn habits() -> impl Strategy<Value = ClientHabit> {
    weighted(vec![
        (90, ClientHabit::Waits),
        (7, ClientHabit::OrdersTwice),
        (3, ClientHabit::Cancels),
    ])
}

fn weighted<T: Clone + std::fmt::Debug + 'static>(
    choices: Vec<(u32, T)>,
) -> impl Strategy<Value = T> {
    Union::new_weighted(
        choices.into_iter().map(|(weight, choice)| (weight, Just(choice))).collect::<Vec<_>>(),
    )
}

fn troubles(tool: PlannedTool) -> impl Strategy<Value = Trouble> {
    let specific = match tool {
        PlannedTool::Media(_) => at_runninghub(),
        PlannedTool::Cards(_) => at_gemini(),
        PlannedTool::TryOn(_) => at_replicate(),
        PlannedTool::Website => at_llm(),
    };
    let trouble = |(weight, name, end, rules): WeightedTrouble| {
        let rules = rules.as_array().expect("a list of rules").clone();
        (weight, Trouble { name, rules, end })
    };
    weighted(every_provider().into_iter().chain(specific).map(trouble).collect())
}

/// A trouble's weight, its name, how the provider ends, and its rules.
type WeightedTrouble = (u32, &'static str, ProviderEnd, Value);

/// Troubles that any HTTP service may cause.
fn every_provider() -> Vec<WeightedTrouble> {
    use ProviderEnd::Makes;
    let page = "<html><body>Bad Gateway</body></html>";
    let html = json!({ "content-type": "text/html" });
    vec![
        (30, "none", Makes, json!([])),
        (4, "slow answer", Makes, json!([{ "times": 1, "delay_ms": 700 }])),
        (4, "502 page", Makes, json!([{ "times": 1, "status": 502, "body": page }])),
        (
            3,
            "firewall page",
            Makes,
            json!([{ "times": 1, "status": 405, "body": page, "headers": html }]),
        ),
    ]
}

fn at_runninghub() -> Vec<WeightedTrouble> {
    use ProviderEnd::{Hangs, Makes, Refuses};
    vec![
        (3, "never ends", Hangs, json!([{ "hang": true }])),
        (6, "webhook lost", Makes, json!([{ "webhook": "lost" }])),
        (3, "webhook twice", Makes, json!([{ "webhook": "twice" }])),
        (3, "webhook late", Makes, json!([{ "webhook": "late" }])),
        (3, "webhook early", Makes, json!([{ "webhook": "early" }])),
        (3, "webhook forged", Makes, json!([{ "webhook": "forged" }])),
        (3, "webhook redirected", Makes, json!([{ "webhook": "redirected" }])),
        (3, "webhook as text", Makes, json!([{ "webhook_form": "string" }])),
        (3, "task id is a number", Makes, json!([{ "id_as": "number" }])),
        (4, "lost answer", Makes, json!([{ "lost_answer": true }])),
        (4, "busy at submit", Makes, json!([{ "times": 1, "code": 421, "shape": 1 }])),
        (3, "busy in the task", Makes, json!([{ "times": 1, "fail": "busy", "code": 1011 }])),
        (3, "rate limited", Makes, json!([{ "times": 1, "code": 1003, "shape": 2 }])),
        (3, "bad input", Refuses, json!([{ "code": 1007, "shape": 2 }])),
        (3, "content refused", Refuses, json!([{ "fail": "a real person", "code": 1505 }])),
        (3, "fails", Refuses, json!([{ "fail": "out of memory" }])),
    ]
}

fn at_replicate() -> Vec<WeightedTrouble> {
    use ProviderEnd::{Hangs, Makes, Refuses};
    let interrupted = "Prediction interrupted; please retry (code: PA)";
    vec![
        (3, "never ends", Hangs, json!([{ "hang": true }])),
        (6, "webhook lost", Makes, json!([{ "webhook": "lost" }])),
        (3, "webhook twice", Makes, json!([{ "webhook": "twice" }])),
        (3, "webhook late", Makes, json!([{ "webhook": "late" }])),
        (3, "webhook early", Makes, json!([{ "webhook": "early" }])),
        (3, "wrong signature", Makes, json!([{ "signature": "wrong" }])),
        (3, "two signatures", Makes, json!([{ "signature": "two" }])),
        (4, "lost answer", Makes, json!([{ "lost_answer": true, "times": 1 }])),
        (3, "both lost", Makes, json!([{ "lost_answer": true, "times": 1, "webhook": "lost" }])),
        (4, "interrupted", Makes, json!([{ "times": 1, "fail": interrupted }])),
        (3, "rate limited", Makes, json!([{ "times": 1, "status": 429, "body": {} }])),
        (3, "fails", Refuses, json!([{ "fail": "NSFW content detected" }])),
    ]
}

fn at_gemini() -> Vec<WeightedTrouble> {
    use ProviderEnd::{Makes, Refuses};
    let error = |code: u16, status: &str, message: &str| {
        let body = json!({ "error": { "code": code, "status": status, "message": message } });
        json!([{ "times": 1, "status": code, "body": body }])
    };
    let place = "User location is not supported for the API use.";
    vec![
        (6, "location", Makes, error(400, "FAILED_PRECONDITION", place)),
        (4, "overloaded", Makes, error(503, "UNAVAILABLE", "The model is overloaded.")),
        (4, "lost answer", Makes, json!([{ "times": 1, "lost_answer": true }])),
        (3, "no picture once", Makes, json!([{ "times": 1, "finish_reason": "NO_IMAGE" }])),
        (3, "content refused", Refuses, json!([{ "finish_reason": "IMAGE_SAFETY" }])),
    ]
}

fn at_llm() -> Vec<WeightedTrouble> {
    use ProviderEnd::{Makes, Refuses};
    let half = json!([{ "times": 1, "stop_after": 5 }]);
    let prose = "Here is your website:\n```json\n{\"files\":[{\"path\":\"/index.html\",\
                 \"content\":\"<!doctype html><title>A</title><p>Hello</p>\"}]}\n```\nEnjoy!";
    vec![
        (4, "overloaded", Makes, json!([{ "times": 1, "status": 503, "body": {} }])),
        (4, "stream ends half way", Makes, half),
        (4, "lost answer", Makes, json!([{ "times": 1, "lost_answer": true }])),
        (4, "prose around the files", Makes, json!([{ "text": prose }])),
        (3, "no files", Refuses, json!([{ "text": "I would rather not." }])),
    ]
}
