//! Many files judged on all cores; what came of them is in the order of the files.

use std::io::IsTerminal as _;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Calls `judge` for each file, on as many threads as there are cores.
///
/// On a terminal it is shown on stderr how far this has come, if it takes long enough to see.
pub(super) fn judge_all<T: Send>(paths: &[PathBuf], judge: impl Fn(&Path) -> T + Sync) -> Vec<T> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let next = AtomicUsize::new(0);
    let work = |after_each: &mut dyn FnMut(usize)| {
        let mut judged = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(path) = paths.get(index) else {
                return judged;
            };
            judged.push((index, judge(path)));
            after_each(index);
        }
    };
    let mut all = thread::scope(|scope| {
        let helpers: Vec<_> = (1..cores.min(paths.len()))
            .map(|_| scope.spawn(|| work(&mut |_| {})))
            .collect();
        let mut progress = Progress::new(paths.len());
        let mut all = work(&mut |index| progress.reached(index));
        for helper in helpers {
            match helper.join() {
                Ok(judged) => all.extend(judged),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    all.sort_unstable_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, judged)| judged).collect()
}

/// How far it has come, on the last line of a terminal.
struct Progress {
    total: usize,
    terminal: bool,
    shown: bool,
    due: Instant,
}

impl Progress {
    fn new(total: usize) -> Self {
        Self {
            total,
            terminal: std::io::stderr().is_terminal(),
            shown: false,
            due: Instant::now() + PATIENCE,
        }
    }

    fn reached(&mut self, index: usize) {
        if self.terminal && Instant::now() >= self.due {
            self.shown = true;
            self.due = Instant::now() + REDRAW;
            eprint!("\r{} of {} files", index + 1, self.total);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            eprint!("\r\u{1b}[K");
        }
    }
}

const PATIENCE: Duration = Duration::from_millis(500);
const REDRAW: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_judged_once_and_in_its_place() {
        for count in [0, 1, 2, 1000] {
            let paths: Vec<PathBuf> = (0..count).map(|n| PathBuf::from(n.to_string())).collect();
            let calls = AtomicUsize::new(0);
            let judged = judge_all(&paths, |path| {
                calls.fetch_add(1, Ordering::Relaxed);
                path.to_path_buf()
            });
            assert_eq!(judged, paths);
            assert_eq!(calls.into_inner(), count);
        }
    }
}
