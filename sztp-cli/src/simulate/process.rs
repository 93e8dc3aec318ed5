//! What this process may use of the machine, and what it has used.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What was used so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    /// Of all threads, in user space and in the kernel.
    pub(super) cpu: Duration,
    pub(super) peak_memory_kib: u64,
}

impl Usage {
    /// None where the system does not say.
    pub(super) fn so_far() -> Option<Self> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        // The program's name, in parentheses, may have anything in it.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let ticks = ticks(11)? + ticks(12)?;
        let per_second = rustix::param::clock_ticks_per_second().max(1);
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let peak = status.lines().find_map(|line| {
            let kib = line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?;
            kib.trim().parse().ok()
        });
        Some(Self {
            cpu: Duration::from_millis(ticks * 1000 / per_second),
            peak_memory_kib: peak?,
        })
    }

    /// What was used since then; the peak is of all time.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            ..self
        }
    }
}

/// Lets this process have as many connections at a time as the system allows; answers whether
/// `wanted` are among that.
pub(super) fn allow_connections(wanted: u64) -> Result<(), u64> {
    let limit = getrlimit(Resource::Nofile);
    let enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= wanted + RESERVED);
    if enough(limit.current) {
        return Ok(());
    }
    let most = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, most) {
        Ok(()) if enough(limit.maximum) => Ok(()),
        Ok(()) => Err(limit.maximum.unwrap_or(wanted)),
        Err(_) => Err(limit.current.unwrap_or(wanted)),
    }
}

/// Files that are open beside the connections.
const RESERVED: u64 = 100;
