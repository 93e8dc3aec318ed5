//! `docs/CONFORMANCE.md`: which test covers which row of the requirements' ledger. It is made of the
//! comments `LEDGER:` in the sources and of `docs/conformance-notes.txt`, which says of rows without a
//! test why they have none.
//!
//! `SZTP_BLESS=1 cargo test -p sztp-core --test conformance_table` writes it anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A row of the ledger.
struct Row {
    section: String,
    id: String,
    roles: Vec<String>,
    level: String,
}

fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("within the workspace").to_owned()
}

fn ledger() -> Option<Vec<Row>> {
    let shared = std::env::var_os("SZTP_SHARED");
    let shared = shared.map_or_else(|| workspace().join("../shared"), PathBuf::from);
    let Ok(text) = fs::read_to_string(shared.join("LEDGER.md")) else {
        // Not `eprintln!`, which the test harness swallows.
        let _ = writeln!(
            std::io::stderr(),
            "NOT TESTED: there is no LEDGER.md in {}",
            shared.display()
        );
        return None;
    };
    let mut section = String::new();
    let mut rows = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            title.clone_into(&mut section);
        }
        // A bar within a cell is escaped.
        let line = line.replace("\\|", "/");
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let ["", id, roles, _, level, ..] = cells[..]
            && is_id(id)
        {
            rows.push(Row {
                section: section.clone(),
                id: id.to_owned(),
                roles: roles
                    .split(',')
                    .map(|role| role.trim().to_owned())
                    .collect(),
                level: level.to_owned(),
            });
        }
    }
    Some(rows)
}

/// Such as 8572-5.3-01: ends with a number of two digits.
fn is_id(text: &str) -> bool {
    let Some((clause, number)) = text.rsplit_once('-') else {
        return false;
    };
    clause.starts_with(|first: char| first.is_ascii_digit())
        && number.len() == 2
        && number.bytes().all(|digit| digit.is_ascii_digit())
}

/// The tests by the ids that they name: `path::function`.
fn tests() -> BTreeMap<String, BTreeSet<String>> {
    let mut tests: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut directories = vec![workspace()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a directory").flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    directories.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap_or_default();
                let shown = path.strip_prefix(workspace()).expect("below it");
                let shown = shown.to_string_lossy().replace('\\', "/");
                for (id, function) in named_in(&text) {
                    let test = format!("{shown}::{function}");
                    tests.entry(id).or_default().insert(test);
                }
            }
        }
    }
    tests
}

/// The ids that a source names, each with the function that the comment is in or above.
fn named_in(text: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let function = |line: &str| {
        let (before, after) = line.split_once("fn ")?;
        let only_modifiers = before
            .split_whitespace()
            .all(|word| word.starts_with("pub") || word == "async" || word == "const");
        let name = after.split(['(', '<']).next()?;
        only_modifiers.then(|| name.to_owned())
    };
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some((_, ids)) = line.split_once("// LEDGER:") else {
            continue;
        };
        let mut least = indent(line);
        let mut around = lines[..index].iter().rev();
        let within = around.find_map(|other| {
            let encloses = !other.trim().is_empty() && indent(other) < least;
            least = if encloses { indent(other) } else { least };
            encloses.then(|| function(other)).flatten()
        });
        let below = || lines[index..].iter().find_map(|other| function(other));
        let name = within.or_else(below).unwrap_or_else(|| "-".to_owned());
        let ids = ids
            .split([',', ' ', ':', ';'])
            .map(|id| id.trim_end_matches('.'));
        found.extend(
            ids.filter(|id| is_id(id))
                .map(|id| (id.to_owned(), name.clone())),
        );
    }
    found
}

/// Why rows have no test.
fn notes() -> BTreeMap<String, String> {
    let path = workspace().join("docs/conformance-notes.txt");
    let text = fs::read_to_string(path).expect("the notes");
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (id, reason) = line.split_once(' ').expect("an id and a reason");
            (id.to_owned(), reason.trim().to_owned())
        })
        .collect()
}

fn table(rows: &[Row]) -> String {
    let (tests, notes) = (tests(), notes());
    let mut out = String::from(
        "# Conformance\n\nWhich test covers which requirement. The ids are those of the requirements' \
         ledger: the RFC, the section, a number. Roles: D device, BS bootstrap server, RS redirect \
         server, OT owner tooling, M manufacturer or MASA, DHCP and DNS the respective servers.\n\n\
         This file is made by `SZTP_BLESS=1 cargo test -p sztp-core --test conformance_table` from the \
         `LEDGER:` comments in the tests and from `conformance-notes.txt`; a test fails if it is out \
         of date.\n\n| role | rows | with a test | with a reason | open |\n|---|---|---|---|---|\n",
    );
    for role in ["D", "BS", "RS", "OT", "M", "DHCP", "DNS"] {
        let of_role = || {
            rows.iter()
                .filter(|row| row.roles.iter().any(|one| one == role))
        };
        let tested = of_role().filter(|row| tests.contains_key(&row.id)).count();
        let reasoned = of_role()
            .filter(|row| !tests.contains_key(&row.id) && notes.contains_key(&row.id))
            .count();
        let all = of_role().count();
        let open = all - tested - reasoned;
        let _ = writeln!(out, "| {role} | {all} | {tested} | {reasoned} | {open} |");
    }
    let mut section = "";
    for row in rows {
        if row.section != section {
            section = &row.section;
            let _ = writeln!(
                out,
                "\n## {section}\n\n| row | roles | level | test or reason |"
            );
            out.push_str("|---|---|---|---|\n");
        }
        let covered = match (tests.get(&row.id), notes.get(&row.id)) {
            (Some(tests), _) => {
                let tests: Vec<String> = tests.iter().map(|test| format!("`{test}`")).collect();
                tests.join("<br>")
            }
            (None, Some(reason)) => reason.clone(),
            (None, None) => "open".to_owned(),
        };
        let (id, level) = (&row.id, &row.level);
        let _ = writeln!(
            out,
            "| {id} | {} | {level} | {covered} |",
            row.roles.join(", ")
        );
    }
    out
}

#[test]
fn the_table_is_up_to_date() {
    let Some(rows) = ledger() else {
        return;
    };
    let path = workspace().join("docs/CONFORMANCE.md");
    let made = table(&rows);
    if std::env::var_os("SZTP_BLESS").is_some() {
        fs::write(&path, &made).expect("written");
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    let differing = made
        .lines()
        .zip(there.lines())
        .find(|(made, there)| made != there);
    assert!(
        made == there,
        "docs/CONFORMANCE.md is out of date, run this test with SZTP_BLESS=1; first difference: \
         {differing:?}"
    );
}

#[test]
fn every_requirement_of_a_device_has_a_test_or_a_reason() {
    let Some(rows) = ledger() else {
        return;
    };
    let (tests, notes) = (tests(), notes());
    let open: Vec<&str> = rows
        .iter()
        .filter(|row| row.roles.iter().any(|role| role == "D"))
        .map(|row| row.id.as_str())
        .filter(|id| !tests.contains_key(*id) && !notes.contains_key(*id))
        .collect();
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn what_is_named_is_in_the_ledger() {
    let Some(rows) = ledger() else {
        return;
    };
    let ids: BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let (tests, notes) = (tests(), notes());
    let named = tests.keys().chain(notes.keys());
    let unknown: Vec<&String> = named.filter(|id| !ids.contains(id.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let both: Vec<&String> = notes.keys().filter(|id| tests.contains_key(*id)).collect();
    assert!(
        both.is_empty(),
        "rows with a reason that have a test by now: {both:?}"
    );
}

#[test]
fn comments_belong_to_the_function_around_or_below() {
    let text = "// ROW: 1-01\n#[test]\nfn a() {\n    // ROW: 1-02, 1-03: why\n    x();\n}\n\
                impl X {\n    // ROW: 1-04\n    pub async fn b<T>() {\n        if x {\n            y();\n        }\n        \
                // ROW: 1-05\n    }\n}\n";
    let found = named_in(&text.replace("ROW", "LEDGER"));
    let pairs: Vec<(&str, &str)> = found
        .iter()
        .map(|(id, f)| (id.as_str(), f.as_str()))
        .collect();
    assert_eq!(
        pairs,
        [
            ("1-01", "a"),
            ("1-02", "a"),
            ("1-03", "a"),
            ("1-04", "b"),
            ("1-05", "b")
        ]
    );
}
