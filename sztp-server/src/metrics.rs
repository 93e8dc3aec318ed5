//! What the server counts, in the text format of Prometheus.
//!
//! Labels have few values, whatever devices and operators send: serial numbers are none of them.

mod histogram;
mod ldevid;
mod outside;
mod progress;

use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::model::HistoryEntry;

pub(crate) use histogram::Histogram;
pub(crate) use outside::{Asked, AskedResult};

use self::progress::Progress;

/// Everything that is counted in this process.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Of the listener for devices.
    pub(crate) devices: ListenerMetrics,
    /// Of the listener for operators.
    pub(crate) operators: ListenerMetrics,
    /// Downloads under way.
    pub(crate) downloads: Gauge,
    /// Event streams that are open.
    pub(crate) event_streams: Gauge,
    /// Reports that were refused as their device sends too many.
    pub(crate) too_many_reports: AtomicU64,
    /// Vouchers that were asked for.
    pub(crate) vouchers: Asked,
    /// Certificates that were asked for, over EST or of a program.
    pub(crate) enrolments: Asked,
    pub(crate) ldevids: ldevid::Ldevids,
    progress: Progress,
}

/// Connections and requests of one listener.
#[derive(Debug)]
pub(crate) struct ListenerMetrics {
    /// Connections that are open.
    pub(crate) open: Gauge,
    /// Connections that were accepted.
    pub(crate) accepted: AtomicU64,
    /// Connections that were closed as their address has too many.
    pub(crate) turned_away: AtomicU64,
    /// Requests that were refused as the server has enough to do.
    pub(crate) overloaded: AtomicU64,
    /// TLS handshakes that came to their end.
    pub(crate) handshakes_done: AtomicU64,
    /// TLS handshakes that failed.
    pub(crate) handshakes_failed: AtomicU64,
    /// TLS handshakes that took too long.
    pub(crate) handshakes_timed_out: AtomicU64,
    /// Seconds.
    pub(crate) handshake_time: Histogram,
    /// Seconds from a request's header to the header of its answer.
    pub(crate) request_time: Histogram,
    /// By status, from 100 on.
    statuses: Box<[AtomicU64]>,
}

impl Metrics {
    /// Counts what was written to the history of a device.
    pub(crate) fn device_event(&self, serial_number: &str, entry: &HistoryEntry) {
        self.progress.event(serial_number, entry);
    }

    /// What this process counts; the caller adds what it reads from the database.
    pub(crate) fn write(&self, out: &mut String) {
        for (name, listener) in [("device", &self.devices), ("admin", &self.operators)] {
            listener.write_gauges(out, name);
        }
        let listeners = [("device", &self.devices), ("admin", &self.operators)];
        describe(
            out,
            "sztp_connections_accepted_total",
            "counter",
            "Connections accepted",
        );
        for (name, of) in listeners {
            sample(
                out,
                "sztp_connections_accepted_total",
                &[("listener", name)],
                load(&of.accepted),
            );
        }
        describe(
            out,
            "sztp_connections_turned_away_total",
            "counter",
            "Connections closed as their address has too many",
        );
        for (name, of) in listeners {
            let value = load(&of.turned_away);
            sample(
                out,
                "sztp_connections_turned_away_total",
                &[("listener", name)],
                value,
            );
        }
        describe(
            out,
            "sztp_overload_total",
            "counter",
            "Requests answered 503 for overload",
        );
        for (name, of) in listeners {
            sample(
                out,
                "sztp_overload_total",
                &[("listener", name)],
                load(&of.overloaded),
            );
        }
        describe(
            out,
            "sztp_tls_handshakes_total",
            "counter",
            "TLS handshakes by result",
        );
        for (name, of) in listeners {
            for (result, count) in [
                ("done", &of.handshakes_done),
                ("failed", &of.handshakes_failed),
                ("timed-out", &of.handshakes_timed_out),
            ] {
                let labels = [("listener", name), ("result", result)];
                sample(out, "sztp_tls_handshakes_total", &labels, load(count));
            }
        }
        describe(
            out,
            "sztp_tls_handshake_seconds",
            "histogram",
            "Time of TLS handshakes",
        );
        for (name, of) in listeners {
            let labels = format!("listener=\"{name}\",");
            of.handshake_time
                .write(out, "sztp_tls_handshake_seconds", &labels);
        }
        describe(
            out,
            "sztp_http_requests_total",
            "counter",
            "Requests by status",
        );
        for (name, of) in listeners {
            for (status, count) in (100_u16..).zip(&of.statuses) {
                let count = load(count);
                if count > 0 {
                    let status = status.to_string();
                    let labels = [("listener", name), ("status", status.as_str())];
                    sample(out, "sztp_http_requests_total", &labels, count);
                }
            }
        }
        describe(
            out,
            "sztp_http_request_seconds",
            "histogram",
            "Time until the answer begins",
        );
        for (name, of) in listeners {
            let labels = format!("listener=\"{name}\",");
            of.request_time
                .write(out, "sztp_http_request_seconds", &labels);
        }
        describe(out, "sztp_downloads", "gauge", "Downloads under way");
        sample(out, "sztp_downloads", &[], self.downloads.get());
        describe(
            out,
            "sztp_event_streams",
            "gauge",
            "Event streams that are open",
        );
        sample(out, "sztp_event_streams", &[], self.event_streams.get());
        self.vouchers
            .write(out, "voucher", "Vouchers asked for on demand");
        self.enrolments
            .write(out, "enrolment", "Certificates asked for of others");
        self.ldevids.write(out);
        let name = "sztp_reports_refused_total";
        describe(
            out,
            name,
            "counter",
            "Reports of devices that report too often",
        );
        sample(out, name, &[], load(&self.too_many_reports));
        self.progress.write(out);
    }
}

impl ListenerMetrics {
    pub(crate) fn answered(&self, status: http::StatusCode, seconds: f64) {
        let place = usize::from(status.as_u16()).saturating_sub(100);
        if let Some(count) = self.statuses.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.request_time.observe(seconds);
    }

    fn write_gauges(&self, out: &mut String, name: &str) {
        if name == "device" {
            describe(
                out,
                "sztp_connections",
                "gauge",
                "Connections that are open",
            );
        }
        sample(
            out,
            "sztp_connections",
            &[("listener", name)],
            self.open.get(),
        );
    }
}

impl Default for ListenerMetrics {
    fn default() -> Self {
        Self {
            open: Gauge::default(),
            accepted: AtomicU64::default(),
            turned_away: AtomicU64::default(),
            overloaded: AtomicU64::default(),
            handshakes_done: AtomicU64::default(),
            handshakes_failed: AtomicU64::default(),
            handshakes_timed_out: AtomicU64::default(),
            handshake_time: Histogram::new(TIMES),
            request_time: Histogram::new(TIMES),
            statuses: (100..600).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

/// How many there are at the moment.
#[derive(Debug, Default)]
pub(crate) struct Gauge(Arc<AtomicI64>);

/// Counted in a [`Gauge`], for as long as it lives.
#[derive(Debug)]
pub(crate) struct Entered(Arc<AtomicI64>);

impl Gauge {
    pub(crate) fn enter(&self) -> Entered {
        self.0.fetch_add(1, Ordering::Relaxed);
        Entered(self.0.clone())
    }

    fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(crate) fn add_one(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

fn load(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

/// The two lines before the samples of a metric.
pub(crate) fn describe(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}.\n# TYPE {name} {kind}");
}

/// One sample.
pub(crate) fn sample(out: &mut String, name: &str, labels: &[(&str, &str)], value: impl Display) {
    out.push_str(name);
    for (place, (label, text)) in labels.iter().enumerate() {
        let separator = if place == 0 { '{' } else { ',' };
        let _ = write!(out, "{separator}{label}=\"");
        for character in text.chars() {
            match character {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                other => out.push(other),
            }
        }
        out.push('"');
    }
    if !labels.is_empty() {
        out.push('}');
    }
    let _ = writeln!(out, " {value}");
}

/// Seconds, for what takes milliseconds.
const TIMES: &[f64] = &[
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_cannot_break_out() {
        let mut out = String::new();
        sample(&mut out, "x", &[("a", "b\"\n\\"), ("c", "")], 1);
        sample(&mut out, "y", &[], 0.5);
        assert_eq!(out, "x{a=\"b\\\"\\n\\\\\",c=\"\"} 1\ny 0.5\n");
    }
}
