//! What `cargo xtask simulate` does: many plans, their figures, and the story of what fails.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::auditor::{BOUND_MS, Fates};
use super::mutations::MUTATIONS;
use super::plan::{LifeTool, Plan};
use super::run::{PlanOutcome, run};
use super::server::SimulationServer;
use super::shrink::shrink;

/// Lives of one plan: few enough to read, many enough to meet each other.
pub const LIVES: u32 = 200;

/// Lives between two lines of progress.
const TOLD_EACH: u64 = 2_000;

/// Within how many seconds after its deadline a job was ended: the rows of the histogram.
const RESCUE_LIMITS_S: [i64; 7] = [15, 30, 60, 120, 180, 240, BOUND_MS / 1_000];

/// The columns of [`Fates`].
const FATES: [&str; 4] = ["completed", "failed", "cancelled", "no job"];

/// The arguments of the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulateOptions {
    pub seed: u64,
    pub lives: u64,
    /// Prints what happened in the first plan, failing or not.
    pub story: bool,
    /// Looks for the faults of [`MUTATIONS`] in place of running lives.
    pub mutations: bool,
    /// The part to run, from 1, and how many parts there are.
    pub part: (u64, u64),
    /// The folder of the figures of parts. A part whose figures are there is not run.
    pub record: Option<PathBuf>,
}

impl SimulateOptions {
    pub fn parse(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            seed: 1,
            lives: 20_000,
            story: false,
            mutations: false,
            part: (1, 1),
            record: None,
        };
        while let Some(name) = args.next() {
            if name == "--story" || name == "--mutations" {
                options.story |= name == "--story";
                options.mutations |= name == "--mutations";
                continue;
            }
            let value = args.next().with_context(|| format!("{name} wants a value"))?;
            match name.as_str() {
                "--seed" => options.seed = value.parse()?,
                "--lives" => options.lives = value.parse()?,
                "--part" => {
                    let (part, of) = value.split_once('/').context("--part is written 1/8")?;
                    options.part = (part.parse()?, of.parse()?);
                }
                "--record" => options.record = Some(value.into()),
                _ => bail!(
                    "usage: simulate [--seed S] [--lives N] [--story] [--part i/n] \
                     [--record FOLDER] [--mutations]"
                ),
            }
        }
        Ok(options)
    }

    /// The seeds of the plans of this part.
    fn seeds(&self) -> impl Iterator<Item = u64> + use<> {
        let plans = self.lives.div_ceil(u64::from(LIVES));
        let ((part, of), first) = (self.part, self.seed);
        (0..plans).filter(move |number| number % of == part - 1).map(move |number| first + number)
    }
}

/// What many plans were and became.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SimulationFigures {
    /// The first plan's seed.
    pub seed: u64,
    pub lives: u64,
    pub ended: u64,
    /// How many jobs of each tool were completed.
    pub completed: BTreeMap<LifeTool, u64>,
    pub seconds: f64,
    pub faults: BTreeMap<String, u64>,
    /// Seconds after the deadline → how many jobs were ended within them that had passed theirs.
    pub rescued_within: BTreeMap<i64, u64>,
    /// What those jobs became: their error, or `completed`.
    pub rescues: BTreeMap<String, u64>,
    pub fates: Fates,
}

fn add_counts<K: Ord>(sum: &mut BTreeMap<K, u64>, counts: BTreeMap<K, u64>) {
    for (name, count) in counts {
        *sum.entry(name).or_default() += count;
    }
}

impl SimulationFigures {
    pub fn add(&mut self, plan: &Plan, outcome: PlanOutcome) {
        let within = |limit: i64| {
            let rescued = outcome.rescues_ms.iter().filter(|ms| **ms <= limit * 1_000).count();
            (limit, rescued as u64)
        };
        self.join(Self {
            seed: plan.seed,
            lives: plan.lives.len() as u64,
            ended: outcome.ends.len() as u64,
            seconds: 0.0,
            rescued_within: RESCUE_LIMITS_S.map(within).into(),
            completed: outcome.completed,
            faults: outcome.faults,
            rescues: outcome.rescues,
            fates: outcome.fates,
        });
    }

    pub fn join(&mut self, other: Self) {
        self.seed = if self.lives == 0 { other.seed } else { self.seed.min(other.seed) };
        self.lives += other.lives;
        self.ended += other.ended;
        self.seconds += other.seconds;
        add_counts(&mut self.completed, other.completed);
        add_counts(&mut self.faults, other.faults);
        add_counts(&mut self.rescued_within, other.rescued_within);
        add_counts(&mut self.rescues, other.rescues);
        for (fault, fates) in other.fates {
            add_counts(self.fates.entry(fault).or_default(), fates);
        }
    }

    /// The sum of the parts that a folder holds.
    pub fn recorded(folder: &Path) -> Result<Self> {
        let mut sum = Self::default();
        for file in std::fs::read_dir(folder)? {
            let path = file?.path();
            let text = std::fs::read_to_string(&path)?;
            sum.join(serde_json::from_str(&text).with_context(|| path.display().to_string())?);
        }
        Ok(sum)
    }

    /// Prints the figures as docs/proof.md has them.
    fn print(&self) {
        println!(
            "{} lives, {} jobs ended, completed {:?}, {:.0} lives a second\n",
            self.lives,
            self.ended,
            self.completed,
            self.lives as f64 / self.seconds,
        );
        print_counts("what happened", "times", &self.faults);
        println!("| planned for a life | {} |\n|---|---|---|---|---|", FATES.join(" | "));
        for (fault, fates) in &self.fates {
            let counts = FATES.map(|fate| fates.get(fate).unwrap_or(&0).to_string());
            println!("| {fault} | {} |", counts.join(" | "));
        }
        println!();
        print_counts("ended after a deadline as", "jobs", &self.rescues);
        print_counts("seconds after the deadline", "jobs", &self.rescued_within);
    }
}

fn print_counts<K: Display>(of: &str, unit: &str, counts: &BTreeMap<K, u64>) {
    println!("| {of} | {unit} |\n|---|---|");
    counts.iter().for_each(|(name, count)| println!("| {name} | {count} |"));
    println!();
}

/// Returns whether everything held.
pub fn main(args: impl Iterator<Item = String>) -> Result<bool> {
    let options = SimulateOptions::parse(args)?;
    let SimulateOptions { seed, lives, part: (part, of), .. } = options;
    let name = format!("{lives}-lives-from-{seed}-part-{part}-of-{of}.json");
    let file = options.record.as_ref().map(|folder| folder.join(name));
    if file.as_ref().is_some_and(|file| file.exists()) {
        eprintln!("part {part} of {of} is recorded already");
        return Ok(true);
    }
    let server = Rc::new(SimulationServer::start()?);
    if options.mutations {
        return find_mutations(&server, options.part);
    }
    let began = Instant::now();
    let first = options.seeds().next().unwrap_or(options.seed);
    let mut figures = SimulationFigures { seed: first, ..SimulationFigures::default() };
    for seed in options.seeds() {
        let lives = u32::try_from(options.lives.min(u64::from(LIVES)))?;
        let plan = Plan::new(seed, lives);
        let outcome = run(&server, &plan, &[])?;
        if options.story {
            println!("{}\n", outcome.story.join("\n"));
        }
        if !outcome.violations.is_empty() {
            tell(&server, &plan, outcome)?;
            return Ok(false);
        }
        figures.add(&plan, outcome);
        if figures.lives.is_multiple_of(TOLD_EACH) {
            eprintln!("{} of {} lives, up to seed {seed}", figures.lives, options.lives / of);
        }
    }
    figures.seconds = began.elapsed().as_secs_f64().round();
    if let (Some(folder), Some(file)) = (&options.record, file) {
        std::fs::create_dir_all(folder)?;
        std::fs::write(file, serde_json::to_string_pretty(&figures)? + "\n")?;
        println!("all parts that are recorded in {}:", folder.display());
        figures = SimulationFigures::recorded(folder)?;
    }
    figures.print();
    Ok(true)
}

/// Returns whether every fault of the SQL is found.
fn find_mutations(server: &Rc<SimulationServer>, (part, of): (u64, u64)) -> Result<bool> {
    let mut missed = 0;
    for (number, mutation) in (0..).zip(MUTATIONS).filter(|(number, _)| number % of == part - 1) {
        let found = mutation.find(server)?;
        missed += u32::from(found.is_none());
        println!("{number} {}: {found:?}", mutation.file);
    }
    Ok(missed == 0)
}

/// Prints the smallest plan that fails so, and its story.
pub fn tell(server: &Rc<SimulationServer>, plan: &Plan, outcome: PlanOutcome) -> Result<()> {
    println!("seed {} fails:\n{}\n", plan.seed, outcome.violations.join("\n"));
    let (plan, outcome) = shrink(server, plan, &[], outcome)?;
    println!("the smallest plan that fails so:\n\n{plan}\n{}\n", outcome.story.join("\n"));
    println!("{}\n\n{}", outcome.violations.join("\n"), serde_json::to_string_pretty(&plan)?);
    Ok(())
}
