//! The documents' commands work: each block marked `sh` in README.md and docs/ is run, in order, in
//! one directory for each document, with the programs of this workspace first on the PATH.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[test]
fn the_documents_commands_work() {
    let mut ran = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).expect("a document");
        let directory = tempfile::tempdir().expect("a temporary directory");
        for (line, script) in blocks(&text) {
            run(&document, line, &script, directory.path());
            ran += 1;
        }
    }
    assert!(ran > 0, "README.md shows no commands at all");
}

#[test]
fn only_sh_blocks_are_taken_with_their_line_numbers() {
    let text = "a\n```sh\none\ntwo\n```\n```bash\nno\n```\n\n```sh\nthree\n```\n";
    let found = blocks(text);
    assert_eq!(
        found,
        [(2, "one\ntwo\n".to_owned()), (10, "three\n".to_owned())]
    );
}

#[test]
fn the_readme_shows_the_two_commands() {
    let text = fs::read_to_string(root().join("README.md")).expect("README.md");
    for command in [
        "cargo run --release --bin sztp -- demo",
        "cargo test --workspace",
    ] {
        assert!(
            text.lines().any(|line| line == command),
            "README.md lacks `{command}`"
        );
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    for document in documents() {
        let text = fs::read_to_string(&document).expect("a document");
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if target.starts_with("http") || target.starts_with('#') {
                continue;
            }
            let target = target.split('#').next().unwrap_or(target);
            let path = document.parent().expect("a folder").join(target);
            assert!(path.exists(), "{}: nothing at {target}", document.display());
        }
    }
}

fn run(document: &Path, line: usize, script: &str, directory: &Path) {
    let programs = Path::new(env!("CARGO_BIN_EXE_sztp"))
        .parent()
        .expect("a folder");
    // Cargo builds the programs of the package that is tested, which the server is not one of.
    if script.contains("sztp-server ") && !programs.join("sztp-server").exists() {
        let built = Command::new(env!("CARGO"))
            .args(["build", "-p", "sztp-server"])
            .status()
            .expect("cargo starts");
        assert!(built.success(), "sztp-server cannot be built");
    }
    // Only these two: other programs that cargo has built may be named like one of the system.
    let first = tempfile::tempdir().expect("a temporary directory");
    for program in ["sztp", "sztp-server"] {
        std::os::unix::fs::symlink(programs.join(program), first.path().join(program))
            .expect("a link");
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(directory)
        .env("PATH", format!("{}:{path}", first.path().display()))
        .stdin(Stdio::null())
        .output()
        .expect("bash starts");
    assert!(
        output.status.success(),
        "{}:{line}: {}\n{script}\n{}\n{}",
        document.display(),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}

/// The `sh` blocks of a document, each with the number of the line that opens it.
fn blocks(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in text.lines().enumerate() {
        match &mut open {
            None if line == "```sh" => open = Some((number + 1, String::new())),
            None => {}
            Some(_) if line == "```" => found.extend(open.take()),
            Some((_, script)) => {
                script.push_str(line);
                script.push('\n');
            }
        }
    }
    found
}

fn documents() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(root().join("docs"))
        .expect("docs/")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    found.push(root().join("README.md"));
    found.sort();
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
        .to_owned()
}
