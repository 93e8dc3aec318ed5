//! Eight times as much hostile input costs about eight times as much, and not sixty-four times.

use std::time::{Duration, Instant};

use sztp_benches::hostile::{HOSTILE, Hostile};

/// The least of several runs: whatever else the machine does only adds to it.
fn cost(run: &dyn Fn()) -> Duration {
    let once = || {
        let started = Instant::now();
        run();
        started.elapsed()
    };
    (0..9).map(|_| once()).min().unwrap_or_default()
}

/// Whether eight times as much is nearer to eight times the cost than to sixty-four times.
fn grows_as_the_input(kind: Hostile) -> bool {
    let small = cost(&*(kind.make)(kind.small));
    let large = cost(&*(kind.make)(8 * kind.small));
    println!("{}: {small:?}, {large:?} for 8 times as much", kind.name);
    // Short runs measure nothing.
    large < 24 * small.max(Duration::from_micros(50))
}

#[test]
fn cost_grows_no_faster_than_the_input() {
    for kind in HOSTILE {
        // A busy machine may look bad once; what is quadratic looks bad always.
        assert!((0..4).any(|_| grows_as_the_input(kind)), "{}", kind.name);
    }
}
