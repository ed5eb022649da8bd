//! A bench on which commands are given what is wrong: what they say is looked at, and that they leave nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use crate::cluster::Cluster;
use paceline_common::artifact::{self, NewArray};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Output;

/// A folder of inputs, sound and unsound, and one for outputs that must stay empty.
#[derive(Debug)]
pub struct Bench {
    /// Without any process, but for those that a test starts.
    pub cluster: Cluster,
    /// Where inputs stand.
    pub inputs: PathBuf,
    outputs: PathBuf,
}

impl Default for Bench {
    fn default() -> Self {
        Self::new()
    }
}

impl Bench {
    /// With both folders empty.
    pub fn new() -> Self {
        let cluster = Cluster::new();
        let (inputs, outputs) = (cluster.scratch().join("in"), cluster.scratch().join("out"));
        std::fs::create_dir(&inputs).unwrap();
        std::fs::create_dir(&outputs).unwrap();
        Self { cluster, inputs, outputs }
    }

    /// Writes an input and gives its path.
    pub fn input(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.inputs.join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The path of an output.
    pub fn output(&self, name: &str) -> String {
        self.outputs.join(name).to_str().unwrap().to_owned()
    }

    /// Writes a model of these arrays and gives its path.
    pub fn model(&self, name: &str, kind: &str, arrays: &[NewArray<'_>]) -> String {
        let path = self.inputs.join(name);
        artifact::write(&path, kind, 1, &BTreeMap::new(), arrays).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Factors of 3 users and 4 items with `k` factors; `item_k` of them for items.
    pub fn factors(&self, name: &str, k: usize, item_k: usize, first: f32) -> String {
        let (mut users, items) = (vec![0.5_f32; 3 * k], vec![0.25_f32; 4 * item_k]);
        users[0] = first;
        let arrays = [NewArray::new("user_factors", &[3, k], &users), NewArray::new("item_factors", &[4, item_k], &items)];
        self.model(name, "factors", &arrays)
    }

    /// `paceline run ARGS` must end with `code` and one sentence that holds every one of `words`, and leave no output.
    pub fn refuses(&self, args: &[&str], code: i32, words: &[&str]) {
        let output = self.cluster.run(&[&["run"], args].concat());
        check(&output, args, code, words);
        let left: Vec<_> = std::fs::read_dir(&self.outputs).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(left.is_empty(), "{args:?} left {left:?}");
    }

    /// The words of a command in one text: @NAME is an input, >NAME an output.
    pub fn words(&self, command: &str) -> Vec<String> {
        let path = |folder: &PathBuf, name: &str| folder.join(name).to_str().unwrap().to_owned();
        let word = |word: &str| match (word.strip_prefix('@'), word.strip_prefix('>')) {
            (Some(name), _) => path(&self.inputs, name),
            (_, Some(name)) => path(&self.outputs, name),
            _ => word.to_owned(),
        };
        command.split_whitespace().map(word).collect()
    }

    /// As [`Self::refuses`] with exit code 2, of a command in one text.
    pub fn refuses_input(&self, command: &str, words: &[&str]) {
        let args = self.words(command);
        self.refuses(&args.iter().map(String::as_str).collect::<Vec<_>>(), 2, words);
    }

    /// Runs a command in one text, which must succeed, and gives what its job's summary tells but for the hash.
    pub fn facts(&self, command: &str) -> BTreeMap<String, String> {
        let args = self.words(command);
        let detail = self.cluster.json(&[&["run"], &args.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat());
        let facts = detail["job"]["summary"]["facts"].as_array().unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        facts.iter().map(|fact| (text(&fact[0]), text(&fact[1]))).collect()
    }
}

/// What a command that was refused must have said.
pub fn check(output: &Output, args: &[&str], code: i32, words: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    let &[error] = &errors[..] else { panic!("{args:?} printed {} errors: {text}", errors.len()) };
    for word in words {
        assert!(error.contains(word), "{args:?}: {error:?} does not name {word:?}");
    }
    assert!(!text.contains("panicked"), "{args:?}: {text}");
}
