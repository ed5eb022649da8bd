//! Holds the structure that ARCHITECTURE.md draws: which room may use which, what each must not know, and that every file says
//! what it is for. It reads the workspace as it is on disk and starts nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Room → the rooms that it may use, apart from its own tests.
const ARROWS: &[(&str, &[&str])] = &[
    ("paceline-common", &[]),
    ("paceline-scheduler", &["paceline-common"]),
    ("paceline-kernels", &[]),
    ("paceline-wire", &["paceline-common"]),
    ("paceline-workloads", &["paceline-common", "paceline-kernels"]),
    ("paceline-coordinator", &["paceline-common", "paceline-scheduler", "paceline-workloads", "paceline-wire"]),
    ("paceline-agent", &["paceline-common", "paceline-workloads", "paceline-wire"]),
    ("paceline", &["paceline-common", "paceline-workloads", "paceline-wire", "paceline-coordinator", "paceline-agent"]),
];

/// Room → crates that must not come in even through others: they would bring a clock, a socket, a thread or a table format.
const KEPT_OUT: &[(&str, &[&str])] = &[
    ("paceline-common", &["tokio", "tarpc", "rayon", "arrow-array", "rusqlite"]),
    ("paceline-scheduler", &["tokio", "tarpc", "rayon", "arrow-array", "rusqlite", "paceline-kernels"]),
    ("paceline-kernels", &["tokio", "tarpc", "arrow-array", "rusqlite", "memmap2", "serde_json"]),
    ("paceline-workloads", &["tokio", "tarpc", "rusqlite", "paceline-scheduler"]),
    ("paceline-wire", &["rayon", "arrow-array", "rusqlite", "paceline-kernels"]),
    ("paceline-agent", &["rusqlite", "paceline-scheduler"]),
];

/// Room → words that its sources must not contain outside of comments.
const FORBIDDEN_WORDS: &[(&str, &[&str])] = &[
    ("scheduler/src", &["Instant::now", "SystemTime", "std::fs", "std::net", "std::thread", "std::env", "HashMap", "rand::"]),
    ("kernels/src", &["Instant::now", "SystemTime", "std::fs", "std::net", "std::env", "File::"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn metadata() -> Metadata {
    MetadataCommand::new().manifest_path(root().join("Cargo.toml")).other_options(vec!["--offline".to_owned()]).exec().unwrap()
}

#[test]
fn arrows_between_rooms_are_as_drawn() {
    let metadata = metadata();
    let rooms: BTreeSet<&str> = ARROWS.iter().map(|(room, _)| *room).collect();
    for (room, allowed) in ARROWS {
        let package = metadata.packages.iter().find(|p| p.name.as_str() == *room).unwrap_or_else(|| panic!("no room {room}"));
        let used = package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal && rooms.contains(d.name.as_str()));
        for dependency in used {
            assert!(allowed.contains(&dependency.name.as_str()), "{room} uses {}, which ARCHITECTURE.md does not allow", dependency.name);
        }
    }
}

#[test]
fn nothing_kept_out_comes_in_through_others() {
    let metadata = metadata();
    let resolve = metadata.resolve.as_ref().unwrap();
    let edges: BTreeMap<&PackageId, Vec<&PackageId>> = resolve
        .nodes
        .iter()
        .map(|node| {
            let normal = node.deps.iter().filter(|d| d.dep_kinds.iter().any(|k| k.kind == DependencyKind::Normal));
            (&node.id, normal.map(|d| &d.pkg).collect())
        })
        .collect();
    for (room, kept_out) in KEPT_OUT {
        let start = &metadata.packages.iter().find(|p| p.name.as_str() == *room).unwrap().id;
        let (mut reached, mut queue) = (BTreeSet::from([start]), vec![start]);
        while let Some(id) = queue.pop() {
            queue.extend(edges[id].iter().filter(|next| reached.insert(**next)));
        }
        let names: BTreeSet<&str> = metadata.packages.iter().filter(|p| reached.contains(&p.id)).map(|p| p.name.as_str()).collect();
        for name in *kept_out {
            assert!(!names.contains(name), "{room} reaches {name}, which it must not know");
        }
    }
}

fn rust_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            if name != "target" && name != ".git" {
                rust_files(&path, found);
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn all_rust_files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    rust_files(&root(), &mut found);
    assert!(found.len() > 50, "only {} files were found: the test looks in the wrong place", found.len());
    found
}

#[test]
fn every_file_says_what_it_is_for() {
    for path in all_rust_files() {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//! "), "{}: does not open with a //! line", path.display());
    }
}

#[test]
fn pure_rooms_name_no_clock_file_or_socket() {
    for path in all_rust_files() {
        let relative = path.strip_prefix(root()).unwrap();
        for (room, words) in FORBIDDEN_WORDS.iter().filter(|(room, _)| relative.starts_with(room)) {
            let text = std::fs::read_to_string(&path).unwrap();
            for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
                for word in *words {
                    assert!(!line.contains(word), "{}:{}: {room} must not know {word}", relative.display(), number + 1);
                }
            }
        }
    }
}
