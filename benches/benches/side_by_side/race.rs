//! A race: contestants that do the same work are called in short turns, round after round, so that
//! whatever else the machine does meets all of them alike. What counts is the processor's time of
//! this thread: time spent waiting for other programs does not.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// One piece of work and those who do it; the first is what the others are measured by.
pub(crate) struct Race<'a> {
    title: String,
    contestants: Vec<Contestant<'a>>,
}

struct Contestant<'a> {
    name: &'static str,
    work: Box<dyn FnMut() + 'a>,
    /// Nanoseconds of one call, of each round.
    rounds: Vec<f64>,
}

impl<'a> Race<'a> {
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            contestants: Vec::new(),
        }
    }

    pub(crate) fn add<T>(&mut self, name: &'static str, mut work: impl FnMut() -> T + 'a) {
        self.contestants.push(Contestant {
            name,
            work: Box::new(move || drop(std::hint::black_box(work()))),
            rounds: Vec::new(),
        });
    }

    /// Runs it, and prints a table in Markdown.
    pub(crate) fn run(mut self) {
        for contestant in &mut self.contestants {
            // Caches, allocator, keys that are parsed at their first use.
            contestant.turn(TURN);
        }
        let start = Instant::now();
        let mut rounds = 0;
        while rounds < LEAST_ROUNDS || (rounds < MOST_ROUNDS && start.elapsed() < RACE) {
            for contestant in &mut self.contestants {
                let nanoseconds = contestant.turn(TURN);
                contestant.rounds.push(nanoseconds);
            }
            rounds += 1;
        }
        self.print();
    }

    fn print(&self) {
        println!("\n### {}\n", self.title);
        println!("| | median | fastest | ratio of medians | ratio of fastest |");
        println!("|---|---:|---:|---:|---:|");
        let Some(first) = self.contestants.first() else {
            return;
        };
        for one in &self.contestants {
            let (median, fastest) = (one.quantile(0.5), one.quantile(0.0));
            println!(
                "| {} | {} | {} | {:.2} | {:.2} |",
                one.name,
                time(median),
                time(fastest),
                median / first.quantile(0.5),
                fastest / first.quantile(0.0),
            );
        }
    }
}

impl Contestant<'_> {
    /// Calls it for about as long as `turn`, and gives the nanoseconds of one call.
    fn turn(&mut self, turn: Duration) -> f64 {
        let start = processor_time();
        let mut calls = 0_u32;
        loop {
            // The clock is read seldom enough not to count.
            for _ in 0..BETWEEN_LOOKS {
                (self.work)();
            }
            calls += BETWEEN_LOOKS;
            let elapsed = processor_time().saturating_sub(start);
            if elapsed >= turn {
                return elapsed.as_secs_f64() * 1e9 / f64::from(calls);
            }
        }
    }

    fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.rounds.clone();
        sorted.sort_by(f64::total_cmp);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            clippy::cast_possible_truncation
        )]
        let at = (share * (sorted.len().saturating_sub(1)) as f64) as usize;
        sorted.get(at).copied().unwrap_or(f64::NAN)
    }
}

fn processor_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime)
        .try_into()
        .unwrap_or_default()
}

fn time(nanoseconds: f64) -> String {
    if nanoseconds < 1_000.0 {
        format!("{nanoseconds:.0} ns")
    } else if nanoseconds < 1_000_000.0 {
        format!("{:.2} µs", nanoseconds / 1e3)
    } else {
        format!("{:.2} ms", nanoseconds / 1e6)
    }
}

const TURN: Duration = Duration::from_millis(3);
const RACE: Duration = Duration::from_secs(2);
const LEAST_ROUNDS: u32 = 15;
const MOST_ROUNDS: u32 = 150;
const BETWEEN_LOOKS: u32 = 4;
