//! What the admin page asks the database for, read without a browser.

use serde_json::Value;
use unstuck_tests::assert_has;

use crate::client_package::node;

fn seen() -> Value {
    let output = node("tests/repo/admin_page.mjs", &[]);
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

#[test]
fn the_list_of_stuck_jobs_has_the_jobs_that_count_stuck_counts() {
    assert_has!(seen(), {
        "stuck": [
            ["in", "status", ["pending", "queued", "starting", "running"]],
            ["is", "quarantined_at", null],
            ["lte", "deadline_at", "2026-01-01T11:55:00.000Z"],
        ],
        "minutes": { "inSql": 5, "inDocs": 5 },
    });
}

#[test]
fn a_live_job_has_the_button_that_retries_it_only_where_job_retry_takes_it() {
    assert_has!(seen(), {
        "retry": { "overdue": true, "inTime": false, "pending": false, "quarantined": false },
    });
}

#[test]
fn all_rows_are_read_however_few_the_project_answers_at_once() {
    assert_has!(seen()["paging"], {
        "all": { "data": [0, 1, 2, 3, 4], "error": null },
        "three": { "data": [0, 1, 2], "error": null },
        "refused": { "data": null, "error": "refused" },
    });
}

#[test]
fn a_user_is_looked_up_until_the_function_answers() {
    let found = "a@example.com";
    assert_has!(seen(), {
        // The address, and how many calls were made for it so far.
        "emails": [[null, 1], [found, 2], [found, 2], [null, 3], [null, 3]],
    });
}
