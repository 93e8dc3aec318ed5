//! What is shown on stderr while something goes on: redrawn on a terminal, elsewhere only what is
//! new.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Something that can be looked at while it changes.
pub(crate) trait Shown: Send + 'static {
    /// All of it as it is now, drawn over what was there before.
    fn frame(&mut self) -> String;

    /// What has changed since this was asked last, for where nothing can be drawn over.
    fn news(&mut self) -> String {
        String::new()
    }
}

/// Something that is being shown.
pub(crate) struct Live {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Live {
    /// Shows it on stderr until told to stop.
    pub(crate) fn show(mut shown: impl Shown) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let terminal = std::io::stderr().is_terminal();
            let mut screen = Screen::default();
            loop {
                let done = tokio::time::timeout(REDRAW, &mut stopped).await.is_ok();
                if terminal {
                    let frame = if done { String::new() } else { shown.frame() };
                    screen.draw(&frame);
                } else {
                    eprint!("{}", shown.news());
                }
                if done {
                    break;
                }
            }
        });
        Self { stop, task }
    }

    /// Shows the last changes and takes away what was drawn, as a report repeats it.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

/// How many characters a line on the terminal may have.
pub(crate) fn width() -> usize {
    terminal_size::terminal_size()
        .map_or(80, |(width, _)| usize::from(width.0))
        // A line that wraps would be two to go back.
        .saturating_sub(1)
}

/// The part of a terminal that is drawn over and over.
#[derive(Default)]
struct Screen {
    lines: usize,
}

impl Screen {
    fn draw(&mut self, frame: &str) {
        let mut out = String::new();
        if self.lines > 0 {
            // Back to the first line, and everything below it gone.
            let _ = write!(out, "\u{1b}[{}A\r\u{1b}[J", self.lines);
        }
        self.lines = 0;
        let width = width();
        for line in frame.lines().take(MAX_LINES) {
            let line: String = line.chars().take(width).collect();
            let _ = writeln!(out, "{line}");
            self.lines += 1;
        }
        let mut stderr = std::io::stderr().lock();
        let _ = stderr.write_all(out.as_bytes());
        let _ = stderr.flush();
    }
}

const REDRAW: Duration = Duration::from_millis(100);
/// What fits on most terminals without scrolling, which redrawing does not survive.
const MAX_LINES: usize = 22;
