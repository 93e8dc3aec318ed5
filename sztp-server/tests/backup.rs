//! A copy of the database is made while the server writes, and put back while none runs.

mod harness;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use harness::program::Program;
use harness::small_device;

fn run(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sztp-server"))
        .args(["--config", "sztp-server.toml"])
        .args(arguments)
        .env("SZTP_LOG", "error")
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .expect("the server's binary starts")
}

fn refused(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let code = text.split(['[', ']']).nth(1).unwrap_or_default();
    code.to_owned()
}

#[test]
fn what_was_there_when_the_copy_was_made_comes_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    let program = Program::start(at, None);
    let add = |program: &Program, serial: &str| {
        let device = small_device(serial).to_string();
        program.admin(at, &["--data-binary", &device], "devices");
    };
    let listed = |program: &Program| {
        let devices = program.admin(at, &[], "devices");
        let items = devices["items"].as_array().expect("items").clone();
        items
            .iter()
            .map(|device| device["serial_number"].as_str().expect("text").to_owned())
            .collect::<Vec<_>>()
    };
    for number in 0..50 {
        add(&program, &format!("BEFORE-{number:02}"));
    }
    // Somebody writes all the time.
    std::thread::scope(|scope| {
        let writer =
            scope.spawn(|| (0..20).for_each(|n| add(&program, &format!("MEANWHILE-{n:02}"))));
        let made = run(at, &["backup", "copy.db"]);
        assert!(made.status.success(), "{made:?}");
        writer.join().expect("no panic");
    });
    assert_eq!(refused(&run(at, &["backup", "copy.db"])), "server.file");
    add(&program, "AFTER");
    assert_eq!(refused(&run(at, &["restore", "copy.db"])), "server.in-use");
    program.kill_9();

    std::fs::write(at.join("no.db"), "no database").expect("written");
    assert_eq!(refused(&run(at, &["restore", "no.db"])), "store.database");
    assert_eq!(
        refused(&run(at, &["restore", "absent.db"])),
        "store.database"
    );
    let url = [
        "--database",
        "postgres://localhost/none",
        "backup",
        "other.db",
    ];
    assert_eq!(refused(&run(at, &url)), "server.not-sqlite");

    let restored = run(at, &["restore", "copy.db"]);
    assert!(restored.status.success(), "{restored:?}");
    let program = Program::start(at, None);
    let devices = listed(&program);
    assert!(!devices.contains(&"AFTER".to_owned()), "{devices:?}");
    let before = devices.iter().filter(|serial| serial.starts_with("BEFORE"));
    assert_eq!(before.count(), 50);
    // Of what was written meanwhile, the first so many.
    let meanwhile: Vec<_> = devices
        .iter()
        .filter(|it| it.starts_with("MEANWHILE"))
        .collect();
    let expected: Vec<String> = (0..meanwhile.len())
        .map(|n| format!("MEANWHILE-{n:02}"))
        .collect();
    assert_eq!(meanwhile, expected.iter().collect::<Vec<_>>());
    // It is a database as any other.
    add(&program, "AFTER");
}
