//! Each error code that the sources name is explained in docs/ERRORS.md, and nothing else is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_code_is_in_the_table_and_the_table_is_sorted() {
    let table = fs::read_to_string(root().join("docs/ERRORS.md")).expect("docs/ERRORS.md");
    let listed: Vec<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter(|code| code.contains('.'))
        .collect();
    assert!(listed.is_sorted(), "docs/ERRORS.md is not sorted by code");
    let listed: BTreeSet<String> = listed.into_iter().map(str::to_owned).collect();
    let named = named();
    assert!(
        named.len() > 100,
        "the sources are not where they were: {named:?}"
    );
    let unexplained: Vec<_> = named.difference(&listed).collect();
    assert!(
        unexplained.is_empty(),
        "not in docs/ERRORS.md: {unexplained:?}"
    );
    let gone: Vec<_> = listed.difference(&named).collect();
    assert!(
        gone.is_empty(),
        "in docs/ERRORS.md, but nowhere else: {gone:?}"
    );
}

#[test]
fn every_layer_is_explained() {
    let table = fs::read_to_string(root().join("docs/ERRORS.md")).expect("docs/ERRORS.md");
    for code in named() {
        let (layer, _) = code.split_once('.').expect("a layer");
        assert!(table.contains(&format!("\n| `{layer}` |")), "{layer}");
    }
}

/// The codes in `=> "layer.what"`, in functions `code`, and in the command's own failures.
fn named() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for folder in [
        "sztp-cms",
        "sztp-voucher",
        "sztp-core",
        "sztp-server",
        "sztp-cli",
    ] {
        let mut files = Vec::new();
        sources(&root().join(folder).join("src"), &mut files);
        for file in files {
            let text = fs::read_to_string(&file).expect("a source");
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            let places = ["=>", "Failure::new(", "Failure::usage("];
            for place in places {
                codes.extend(text.split(place).skip(1).filter_map(code_at_the_start));
            }
            for body in bodies_of_code(text) {
                let quotes = body.match_indices('"');
                codes.extend(quotes.filter_map(|(at, _)| code_at_the_start(&body[at..])));
            }
        }
    }
    codes
}

/// The bodies of functions `code`, to the brace in the column where the function began.
fn bodies_of_code(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("fn code(").filter_map(|(at, _)| {
        let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
        let indent = text[line..].len() - text[line..].trim_start_matches(' ').len();
        let body = &text[at..];
        Some(&body[..body.find(&format!("\n{}}}", " ".repeat(indent)))?])
    })
}

fn code_at_the_start(text: &str) -> Option<String> {
    let text = text.trim_start();
    let text = text.strip_prefix('{').map_or(text, str::trim_start);
    let code = text.strip_prefix('"')?.split('"').next()?;
    let (layer, what) = code.split_once('.')?;
    let word = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    (word(layer) && word(what)).then(|| code.to_owned())
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
        .to_owned()
}
