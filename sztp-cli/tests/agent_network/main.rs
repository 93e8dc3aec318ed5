//! The agent in a network of its own: real DHCP, DNS and bootstrap servers on one side of a cable, the
//! device as a real process on the other.
#![cfg(target_os = "linux")]

mod daemon;
mod dhcp;
mod dns;
mod hostile;
mod namespaces;
mod others;
#[allow(dead_code)]
#[path = "../rogue/mod.rs"]
mod rogue;
#[allow(dead_code)]
#[path = "../site/mod.rs"]
mod site;
mod story;
#[allow(dead_code)]
#[path = "../workbench/mod.rs"]
mod workbench;
