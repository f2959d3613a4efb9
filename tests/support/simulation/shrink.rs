//! Leaves out of a failing plan whatever it fails without.

use std::rc::Rc;

use anyhow::Result;

use super::plan::Plan;
use super::run::{PlanOutcome, run};
use super::server::SimulationServer;

/// How many plans are tried.
const TRIES: u32 = 200;

/// The smallest plan found that fails in the same way, and what became of it.
pub fn shrink(
    server: &Rc<SimulationServer>,
    plan: &Plan,
    changes: &[String],
    failed: PlanOutcome,
) -> Result<(Plan, PlanOutcome)> {
    let (mut best, mut outcome) = (plan.clone(), failed);
    let (wanted, mut tries) = (outcome.kind(), 0);
    let mut attempt =
        |candidate: Plan, best: &mut Plan, outcome: &mut PlanOutcome| -> Result<bool> {
            tries += 1;
            if tries > TRIES {
                return Ok(false);
            }
            let found = run(server, &candidate, changes)?;
            let is_same = found.kind() == wanted;
            if is_same {
                (*best, *outcome) = (candidate, found);
            }
            Ok(is_same)
        };
    let mut size = best.lives.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < best.lives.len() {
            let mut candidate = best.clone();
            candidate.lives.drain(at..(at + size).min(best.lives.len()));
            if !attempt(candidate, &mut best, &mut outcome)? {
                at += size;
            }
        }
        size /= 2;
    }
    for at in (0..best.events.len()).rev() {
        let mut candidate = best.clone();
        candidate.events.remove(at);
        attempt(candidate, &mut best, &mut outcome)?;
    }
    for at in (0..best.payments.len()).rev() {
        let mut candidate = best.clone();
        candidate.payments.remove(at);
        attempt(candidate, &mut best, &mut outcome)?;
    }
    if best.wallet.is_some() {
        let candidate = Plan { wallet: None, ..best.clone() };
        attempt(candidate, &mut best, &mut outcome)?;
    }
    for at in (0..best.wallet.as_ref().map_or(0, |wallet| wallet.events.len())).rev() {
        let mut candidate = best.clone();
        if let Some(wallet) = &mut candidate.wallet {
            wallet.events.remove(at);
        }
        attempt(candidate, &mut best, &mut outcome)?;
    }
    for user in best.wallet.clone().into_iter().flat_map(|wallet| wallet.unlimited) {
        let mut candidate = best.clone();
        if let Some(wallet) = &mut candidate.wallet {
            wallet.unlimited.remove(&user);
        }
        attempt(candidate, &mut best, &mut outcome)?;
    }
    for life in 0..best.lives.len() {
        for fault in (0..best.lives[life].faults.len()).rev() {
            let mut candidate = best.clone();
            candidate.lives[life].faults.remove(fault);
            attempt(candidate, &mut best, &mut outcome)?;
        }
    }
    Ok((best, outcome))
}
