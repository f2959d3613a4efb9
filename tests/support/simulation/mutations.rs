//! Faults that are put into the SQL one at a time. The simulation must find each: a fault that it
//! does not find is a rule that nothing watches.

use std::rc::Rc;

use anyhow::{Context, Result, ensure};

use super::command::LIVES;
use super::plan::Plan;
use super::run::run;
use super::server::SimulationServer;

/// How many plans may be needed to find one.
const TO_FIND: u64 = 60;

/// A file of supabase/schemas, what is in it, and what a careless hand makes of it.
#[derive(Debug, Clone, Copy)]
pub struct SqlMutation {
    pub file: &'static str,
    from: &'static str,
    to: &'static str,
}

/// The plan that found a mutation, and what it found first.
#[derive(Debug)]
pub struct FoundMutation {
    pub seed: u64,
    pub violation: String,
}

impl SqlMutation {
    /// The source with the fault in it.
    pub fn sql(&self) -> Result<String> {
        let file = format!("supabase/schemas/{}.sql", self.file);
        let sql = std::fs::read_to_string(xtask::paths::root().join(&file)).context(file)?;
        ensure!(sql.matches(self.from).count() == 1, "{self:?} names one place");
        Ok(sql.replace(self.from, self.to))
    }

    /// Runs plans until one finds the fault.
    pub fn find(&self, server: &Rc<SimulationServer>) -> Result<Option<FoundMutation>> {
        let changes = [self.sql()?];
        for seed in 1..=TO_FIND {
            let outcome = run(server, &Plan::new(seed, LIVES), &changes)?;
            if let Some(violation) = outcome.violations.first() {
                return Ok(Some(FoundMutation { seed, violation: violation.clone() }));
            }
        }
        Ok(None)
    }
}

const fn of(file: &'static str, from: &'static str, to: &'static str) -> SqlMutation {
    SqlMutation { file, from, to }
}

const ANY_TASK_OF_A_REQUEUED_RUN: SqlMutation = of(
    "step/step_done_v2",
    "    or unstuck_private.is_task_of_other_run(v_step, p_run, p_task_id)\n",
    "",
);

const NEVER_QUERIED: SqlMutation =
    of("step/steps_due_at_provider", "then interval '3 minutes'", "then interval '3 hours'");

/// The plans of tests/simulation/found, each with what undoes the mend that it led to, where that
/// is in SQL.
pub const FOUND: &[(&str, Option<SqlMutation>)] = &[
    ("webhook_recorded_while_the_checker_is_off", Some(NEVER_QUERIED)),
    // Mended by `Asynchronous::is_of_other_run`.
    ("webhook_of_another_try_on", None),
    ("webhook_at_a_requeued_step", Some(ANY_TASK_OF_A_REQUEUED_RUN)),
];

pub const MUTATIONS: &[SqlMutation] = &[
    // Credits.
    of("credit/refunds_due", "n.status in ('failed', 'cancelled')", "n.status = 'failed'"),
    of("credit/refunds_due", "then l.debit\n", "then l.debit - 1\n"),
    of("credit/refund_lines", "s.status in ('failed', 'cancelled')", "s.status = 'failed'"),
    of(
        "job/jobs_finalise",
        "credits_refunded = least(r.refunded::numeric + r.given, r.debit)",
        "credits_refunded = j.credits_refunded",
    ),
    of(
        "step/step_fail",
        "credits_refunded = least(b.refunded::numeric + b.given, b.debit)",
        "credits_refunded = 0",
    ),
    of(
        "sweep/jobs_due",
        "when j.refund_rule = 'per_step' and j.done > 0 then 'completed'",
        "when false then 'completed'",
    ),
    // The fence.
    of("step/step_lock", "    and run = p_run\n", ""),
    of("queue/steps_claim", "run = s.run + 1,", "run = greatest(s.run, 1),"),
    of("admin/job_restart", "    provider_cancel_due = unstuck_private.cancel_debt_with(s),\n", ""),
    of("sweep/can_requeue", "and p_step.sent_at is null\n", "\n"),
    of("step/step_checked_v1", "if v_step.deadline_at > v_now\n", "if true\n"),
    of(
        "step/step_done_v2",
        "if unstuck_private.is_final(v_step.status) then",
        "if v_step.status = 'completed' then",
    ),
    // Slots and the queue.
    of("queue/slot_limit", "p_provider.max_concurrent,", "p_provider.max_concurrent + 1,"),
    of(
        "queue/order_claim",
        ">= least(v_provider.max_concurrent, v_provider.learned_limit)",
        "> least(v_provider.max_concurrent, v_provider.learned_limit)",
    ),
    of("purchase/purchase_back", "where d.status in ('open', 'lost')", "where d.status = 'lost'"),
    of("step/step_complete_v2", "s.step = p_step + 1 and s.status = 'blocked'", "false"),
    // Clocks.
    of(
        "sweep/steps_rescue",
        "s.lease_until <= p_now",
        "s.lease_until <= p_now - interval '1 hour'",
    ),
    of(
        "step/steps_due_at_provider",
        "coalesce(s.lease_until, '-infinity') <= p_now\n",
        "coalesce(s.lease_until, '-infinity') <= p_now - interval '1 hour'\n",
    ),
    NEVER_QUERIED,
    of("sweep/jobs_due", "when j.deadline_at > p_now then false", "when true then false"),
    of("sweep/jobs_due", "when j.working = 0 then true", "when j.working = 0 then false"),
    of("sweep/steps_requeue", "    perform unstuck_private.job_sync_from_steps(v_jobs);\n", ""),
    // What is written.
    of("step/step_complete_v2", "    output_url = p_output_url,\n", ""),
    of("credit/jobs_refund", "set balance = a.balance + t.total", "set balance = a.balance"),
    of(
        "step/step_fail",
        "when bool_or(s.status = 'completed') then 'completed'",
        "when bool_or(s.status = 'completed') then 'failed'",
    ),
    of("order/order_debit", "p_job_id, 'debit', -v_debit.taken,", "p_job_id, 'debit', -p_balance,"),
    of("webhook/webhook_record_v2", "  on conflict (provider, dedup_key) do nothing\n", ""),
    of(
        "purchase/purchase_settle",
        "then v_due.granted - v_due.taken else",
        "then v_due.granted else",
    ),
    // The outside.
    of(
        "step/step_started_v1",
        "\n      || jsonb_build_object('task_id', p_task_id, 'run', p_run)",
        "",
    ),
    of("step/cancel_debt_without", "is distinct from", "is not distinct from"),
    of("step/cancel_debt_with", "when p_step.sent_at is not null", "when false"),
    // An app's wallet.
    of("wallet/refund_ask", "    if v_given < p_amount then\n", "    if v_given < 0 then\n"),
    of(
        "wallet/refund_ask",
        "    v_given := 0;\n    v_error := sqlerrm;\n",
        "    v_given := p_amount;\n",
    ),
    of(
        "wallet/refunds_owed_pay",
        "      delete from unstuck.refunds_owed o\n",
        "      update unstuck.refunds_owed o set tries = o.tries\n",
    ),
    of(
        "wallet/jobs_refund_each",
        "    where o.job_id = any (p_ids);\n",
        "    where o.job_id = any (p_ids) and o.step is null;\n",
    ),
    of("wallet/wallet_hold", "lock_not_available or deadlock_detected", "others"),
    of("order/order_debit", "      v_debit.receipt);\n", "      null);\n"),
];
