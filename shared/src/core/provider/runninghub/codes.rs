//! RunningHub's error codes as data: what each means for the step, and the words that its owner
//! reads.
//!
//! The table covers both generations of the API. A code that it lacks is a final refusal: an answer
//! with an error code proves that the provider started nothing. The ids of an app's nodes come from
//! our setting, so the operator must correct a fault about nodes.
//!
//! Sources: RunningHub's own lists of error codes, of the first API (301 to 901) and of the second
//! (1000 to 1520). They do not tell the subject of 435, 436 and 1014: as faults of the app they
//! make the fewest orders wait. No code is about a place: a firewall answers with a page.

use crate::core::job::FailureCode;
use crate::core::provider::About::{self, Account, App, Content, Input, Load, Other, Time};

/// Our reaction to a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// The request is at fault.
    Reject,
    /// The content was refused. The job's owner can change it.
    Refuse,
    /// Our account, key or app is at fault. The job fails, and the operator gets an alarm.
    Alarm,
    /// The provider is full: requeue the step. The attempt does not count.
    Capacity,
    /// A transient fault: retry the step.
    Retry { after_ms: Option<u32> },
    /// No error: the task runs or is queued.
    Working,
    /// The provider does not know the task.
    NoSuchTask,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    pub number: u16,
    pub name: &'static str,
    pub about: About,
    pub act: Act,
    /// The words for the job's owner.
    pub text: &'static str,
}

impl Code {
    /// The failure code of a submit that was refused with this error code.
    pub fn failure_code(&self) -> FailureCode {
        match self.act {
            Act::Refuse => FailureCode::ContentRefused,
            _ => FailureCode::ProviderRejected,
        }
    }
}

/// Finds a code by its number, given as text.
pub fn find(code: &str) -> Option<&'static Code> {
    let number: u16 = code.trim().parse().ok()?;
    CODES.iter().find(|row| row.number == number)
}

const PARAMETERS: &str = "the provider refused the parameters of the request";
const UNAVAILABLE: &str = "the provider cannot take this work at present";
const BUSY: &str = "the provider is full";
const FAULT: &str = "the provider had a passing fault";
const NO_TASK: &str = "the provider does not know this task";
const INPUT: &str = "the provider could not use the input file";
const RETRY: Act = Act::Retry { after_ms: None };

const fn row(number: u16, name: &'static str, about: About, act: Act, text: &'static str) -> Code {
    Code { number, name, about, act, text }
}

pub const CODES: &[Code] = &[
    row(301, "PARAMS_INVALID", Input, Act::Reject, PARAMETERS),
    row(380, "WORKFLOW_NOT_EXISTS", App, Act::Alarm, UNAVAILABLE),
    row(412, "TOKEN_INVALID", Account, Act::Alarm, UNAVAILABLE),
    row(415, "TASK_INSTANCE_MAXED", Load, Act::Capacity, BUSY),
    row(416, "TASK_CREATE_FAILED_BY_NOT_ENOUGH_WALLET", Account, Act::Alarm, UNAVAILABLE),
    row(421, "TASK_QUEUE_MAXED", Load, Act::Capacity, BUSY),
    row(423, "TASK_NOT_FOUNED", Other, Act::NoSuchTask, NO_TASK),
    row(433, "VALIDATE_PROMPT_FAILED", Input, Act::Reject, PARAMETERS),
    row(435, "INSTANCE_NOT_FOUND", App, Act::Alarm, UNAVAILABLE),
    row(436, "EXCLUSIVE_INSTANCE_REQUIRED", App, Act::Alarm, UNAVAILABLE),
    row(500, "UNKNOWN_ERROR", Time, RETRY, FAULT),
    row(801, "FREE_USER_UNSUPPORTED", Account, Act::Alarm, UNAVAILABLE),
    row(802, "APIKEY_UNAUTHORIZED", Account, Act::Alarm, UNAVAILABLE),
    row(803, "APIKEY_INVALID_NODE_INFO", App, Act::Alarm, UNAVAILABLE),
    row(804, "APIKEY_TASK_IS_RUNNING", Other, Act::Working, "the task is running"),
    row(
        805,
        "APIKEY_TASK_STATUS_ERROR",
        Input,
        Act::Reject,
        "the provider could not finish the task",
    ),
    row(806, "APIKEY_USER_NOT_FOUND", Account, Act::Alarm, UNAVAILABLE),
    row(807, "APIKEY_TASK_NOT_FOUND", Other, Act::NoSuchTask, NO_TASK),
    row(808, "APIKEY_UPLOAD_FAILED", Time, RETRY, INPUT),
    row(
        809,
        "APIKEY_FILE_SIZE_EXCEEDED",
        Input,
        Act::Reject,
        "the input file is too large for the provider",
    ),
    row(810, "WORKFLOW_NOT_SAVED_OR_NOT_RUNNING", App, Act::Alarm, UNAVAILABLE),
    row(811, "CORPAPIKEY_INVALID", Account, Act::Alarm, UNAVAILABLE),
    row(812, "CORPAPIKEY_INSUFFICIENT_FUNDS", Account, Act::Alarm, UNAVAILABLE),
    row(813, "APIKEY_TASK_IS_QUEUED", Other, Act::Working, "the task waits at the provider"),
    row(814, "PERSONAL_QUEUE_COUNT_LIMIT", Load, Act::Capacity, BUSY),
    row(901, "WEBAPP_NOT_EXISTS", App, Act::Alarm, UNAVAILABLE),
    row(1000, "UNKNOWN", Time, RETRY, FAULT),
    row(1001, "INVALID_URL", Input, Act::Reject, PARAMETERS),
    row(1002, "INVALID_API_KEY", Account, Act::Alarm, UNAVAILABLE),
    row(1003, "RATE_LIMIT", Load, Act::Capacity, BUSY),
    row(1004, "TASK_NOT_FOUND", Other, Act::NoSuchTask, NO_TASK),
    row(1005, "INTERNAL_ERROR", Time, RETRY, FAULT),
    row(1006, "EXECUTION_TIMEOUT", Time, RETRY, "the provider ran out of time"),
    row(1007, "PARAMETER_INVALID", Input, Act::Reject, PARAMETERS),
    row(1008, "FILE_TOO_LARGE", Input, Act::Reject, "the input file is too large for the provider"),
    row(1009, "METHOD_NOT_ALLOWED", Account, Act::Alarm, UNAVAILABLE),
    row(1010, "UNAVAILABLE", Time, RETRY, FAULT),
    row(1011, "BUSY", Load, RETRY, FAULT),
    row(1012, "UPSTREAM", Time, RETRY, FAULT),
    row(1013, "FILE_PROCESSING", Time, Act::Retry { after_ms: Some(5_000) }, INPUT),
    row(1014, "ACCESS_DENIED", App, Act::Alarm, UNAVAILABLE),
    row(1015, "GENERATION_FAILED", Time, RETRY, "the provider could not generate a result"),
    row(1101, "NODE_INFO_INVALID", App, Act::Alarm, UNAVAILABLE),
    row(
        1501,
        "MODERATION",
        Content,
        Act::Refuse,
        "the content was refused by the provider's moderation",
    ),
    row(1504, "MODEL_TIMEOUT", Time, RETRY, "the provider ran out of time"),
    row(
        1505,
        "REAL_PERSON_NOT_ALLOWED",
        Content,
        Act::Refuse,
        "the provider does not accept pictures of real people",
    ),
    row(1520, "USER_CONCURRENCY_LIMIT", Load, Act::Capacity, BUSY),
];

#[cfg(test)]
mod tests {
    use super::{About, Act, CODES, find};
    use crate::core::job::FailureCode;

    #[test]
    fn the_table_is_sorted_by_unique_numbers() {
        assert!(CODES.is_sorted_by(|a, b| a.number < b.number));
    }

    #[test]
    fn a_code_is_found_by_its_number_as_text() {
        assert_eq!(find("421").map(|row| row.name), Some("TASK_QUEUE_MAXED"));
        assert_eq!(
            find(" 1501 ").map(super::Code::failure_code),
            Some(FailureCode::ContentRefused)
        );
        assert_eq!(find("99999999"), None);
        assert_eq!(find("TASK_QUEUE_MAXED"), None);
    }

    #[test]
    fn what_a_code_is_about_agrees_with_what_is_done_about_it() {
        for row in CODES {
            let agrees = match row.act {
                Act::Alarm => matches!(row.about, About::Account | About::App),
                Act::Refuse => row.about == About::Content,
                Act::Reject => row.about == About::Input,
                Act::Capacity => row.about == About::Load,
                Act::Retry { .. } => matches!(row.about, About::Time | About::Load),
                Act::Working | Act::NoSuchTask => row.about == About::Other,
            };
            assert!(agrees, "{row:?}");
        }
        let apps: Vec<_> =
            CODES.iter().filter(|row| row.about == About::App).map(|row| row.number).collect();
        assert_eq!(apps, [380, 435, 436, 803, 810, 901, 1014, 1101]);
    }

    #[test]
    fn only_codes_of_a_full_provider_mean_capacity() {
        let full: Vec<_> =
            CODES.iter().filter(|row| row.act == Act::Capacity).map(|row| row.number).collect();
        assert_eq!(full, [415, 421, 814, 1003, 1520]);
    }
}
