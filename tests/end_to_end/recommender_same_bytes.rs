//! From a table of interactions to metrics: every file on the way has the same bytes, however many agents share the work and however many
//! cores each of them has. Real processes, compared by hash.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use paceline_tests::cluster::{Cluster, hash_of};
use paceline_tests::interactions::InteractionTable;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

/// Enough users for two files of lists and dozens of blocks in every stage that is shared, enough items for several blocks of them.
const LARGE: InteractionTable = InteractionTable { n_users: 20_000, n_items: 700, max_rows_per_user: 16 };
/// For many jobs one after the other.
const SMALL: InteractionTable = InteractionTable { n_users: 1_500, n_items: 300, max_rows_per_user: 16 };

/// Cores of each agent.
const CLUSTERS: [&[u32]; 4] = [&[1], &[2], &[1, 1], &[1, 1, 1, 1, 1]];

/// The jobs in their order. What begins with @ is a file.
const CHAIN: [&str; 19] = [
    "--seed 3 split --data @table.csv --method leave-n-out --n 2 --out-train @train.parquet --out-test @test.parquet",
    "split --data @table.csv --method fraction --fraction 0.3 --latest --out-train @early.csv --out-test @late.csv",
    "--seed 4 als train --data @train.parquet --factors 8 --iterations 3 --out @counts.model",
    "--seed 4 als train --data @train.parquet --factors 8 --iterations 2 --cholesky --out @exact.model",
    "--seed 4 als train --data @train.parquet --factors 7 --iterations 2 --explicit --out @ratings.model",
    "knn train --data @train.parquet --min-neighbours 3 --out @counts.knn",
    "knn train --data @train.parquet --explicit --shrinkage 5 --out @ratings.knn",
    "popular train --data @train.parquet --out @popular.model",
    "bias train --data @train.parquet --out @bias.model",
    "recommend --model @counts.model --users @test.parquet --unknown-users skip --top 20 --out @counts.parquet",
    "recommend --model @ratings.model --seen @test.parquet --top 15 --out @ratings-lists",
    "recommend --model @counts.knn --users @test.parquet --unknown-users skip --top 20 --out @neighbours.csv",
    "recommend --model @ratings.knn --top 5 --out @rated-neighbours.parquet",
    "recommend --model @popular.model --candidates @late.csv --unknown-users skip --top 5 --out @candidates.parquet",
    "score --model @ratings.model --pairs @test.parquet --unknown-users skip --out @scores.parquet",
    "score --model @ratings.knn --pairs @late.csv --unknown-users skip --out @scores.csv",
    "evaluate --lists @counts.parquet --truth @test.parquet --catalog @train.parquet --at 5,20,all --out @counts-users.parquet --summary @counts-means.csv",
    "evaluate --lists @ratings-lists --truth @test.parquet --metrics graded_ndcg,precision --out @ratings-users.csv --summary @ratings-means.parquet",
    "evaluate --lists @neighbours.csv --truth @test.parquet --missing-lists empty --out @neighbours-users.parquet --summary @neighbours-means.csv",
];

/// Where jobs run, and where their files are.
struct Scene {
    cluster: Cluster,
    how: &'static [&'static str],
    files: PathBuf,
}

impl Scene {
    /// `cores` of each agent; `None` for `paceline run` on one core, without any agent.
    fn new(cores: Option<&[u32]>, table: &Path) -> Self {
        let cluster = cores.map_or_else(Cluster::new, Cluster::with_agents);
        let files = cluster.scratch().join("files");
        std::fs::create_dir(&files).unwrap();
        std::fs::copy(table, files.join("table.csv")).unwrap();
        let how: &[&str] = if cores.is_some() { &["submit", "--wait"] } else { &["run", "--cores", "1"] };
        Self { cluster, how, files }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.join(name)
    }

    fn run(&self, job: &str) {
        let word = |word: &str| match word.strip_prefix('@') {
            Some(name) => self.path(name).to_str().unwrap().to_owned(),
            None => word.to_owned(),
        };
        let words: Vec<String> = job.split_whitespace().map(word).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.cluster.succeed(&[self.how, &words].concat());
    }

    /// How many agents have done something.
    fn n_agents_at_work(&self) -> usize {
        let agents = self.cluster.json(&["agents"]);
        agents.as_array().unwrap().iter().filter(|agent| agent["n_committed"].as_u64().unwrap() > 0).count()
    }

    /// The hash of every file, by its path within the folder.
    fn hashes(&self) -> BTreeMap<String, String> {
        let mut hashes = BTreeMap::new();
        let mut folders = vec![self.files.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    hashes.insert(path.strip_prefix(&self.files).unwrap().to_str().unwrap().to_owned(), hash_of(&path));
                }
            }
        }
        hashes
    }
}

/// All files of the chain, by name.
fn run_chain(scene: &Scene) -> BTreeMap<String, String> {
    CHAIN.iter().for_each(|job| scene.run(job));
    scene.hashes()
}

#[test]
fn every_file_from_split_to_metrics_is_the_same_at_any_number_of_agents_and_cores() {
    let inputs = tempfile::tempdir().unwrap();
    let table = inputs.path().join("table.csv");
    LARGE.write(&table);
    let expected = run_chain(&Scene::new(None, &table));
    assert_eq!(expected.len(), 26, "{expected:?}");
    for cores in CLUSTERS {
        let scene = Scene::new(Some(cores), &table);
        scene.cluster.wait_for_agents(cores.len() as u64);
        assert_eq!(run_chain(&scene), expected, "files of agents with {cores:?} cores against those of one process");
        // Which of five gets something to do is chance; that all the work is done by one is none.
        assert!(scene.n_agents_at_work() >= cores.len().min(2), "the jobs were shared among {} agents", cores.len());
    }
}

#[test]
fn training_that_goes_on_elsewhere_comes_to_the_same_file() {
    let inputs = tempfile::tempdir().unwrap();
    let table = inputs.path().join("table.csv");
    LARGE.write(&table);
    for flags in ["", "--explicit"] {
        let train = |more: &str| format!("--seed 4 als train --data @table.csv --factors 8 {flags} {more}");
        let (first, second) = (Scene::new(Some(&[1, 1]), &table), Scene::new(Some(&[2]), &table));
        first.run(&train("--iterations 15 --out @whole.model"));
        first.run(&train("--iterations 10 --out @begun.model"));
        std::fs::copy(first.path("begun.model"), second.path("begun.model")).unwrap();
        second.run(&train("--iterations 15 --resume @begun.model --out @ended.model"));
        let hash = hash_of(&second.path("ended.model"));
        assert_eq!(hash, hash_of(&first.path("whole.model")), "10 and 5 iterations against 15, {flags}");
        assert_ne!(hash, hash_of(&first.path("begun.model")), "5 iterations more changed nothing, {flags}");
    }
}

/// Jobs, and flags each of which must change what is in the files that the job comes to. Their outputs are added.
const VARIANTS: [(&str, &[&str]); 10] = [
    (
        "split --data @table.csv --out-train @OUT.csv --out-test @OUT-test.csv --method",
        &[
            "leave-n-out --n 1",
            "leave-n-out --n 1 --seed 8",
            "leave-n-out --n 1 --latest",
            "leave-n-out --n 2",
            "leave-n-out --n 2 --min-train 5",
            "fraction --fraction 0.2",
            "fraction --fraction 0.4",
            "fraction --fraction 0.2 --latest",
            "temporal --at 700000",
            "temporal --test-fraction 0.1",
        ],
    ),
    (
        "als train --data @table.csv --factors 8 --iterations 2 --out @OUT",
        &[
            "",
            "--seed 8",
            "--regularization 0.5",
            "--alpha 2",
            "--cg-steps 2",
            "--cholesky",
            "--user-column item --item-column user",
            "--value-column time",
        ],
    ),
    (
        "als train --data @table.csv --explicit --out @OUT",
        &[
            "--factors 4 --iterations 2",
            "--factors 5 --iterations 2",
            "--factors 4 --iterations 3",
            "--factors 4 --iterations 2 --damping 1",
            "--factors 4 --iterations 2 --regularization 0.5",
            "--factors 4 --iterations 2 --value-column time",
        ],
    ),
    (
        "knn train --data @table.csv --out @OUT",
        &[
            "",
            "--save-neighbours 5",
            "--min-common-users 3",
            "--min-similarity 0.2",
            "--shrinkage 10",
            "--explicit",
            "--explicit --value-column time",
        ],
    ),
    ("popular train --data @table.csv --out @OUT", &["", "--user-column item --item-column user", "--item-column time"]),
    ("bias train --data @table.csv --out @OUT", &["", "--damping 1", "--value-column time"]),
    ("score --pairs @some.csv --out @OUT.csv --unknown-users skip --model", &["@a.model", "@b.model", "@c.model"]),
    (
        "recommend --top 5 --out @OUT.csv --model",
        &[
            "@a.model",
            "@a.model --users @some.csv",
            "@a.model --seen @some.csv",
            "@a.model --candidates @some.csv",
            "@b.model",
            "@c.model",
            "@near.model",
            "@few.model",
        ],
    ),
    ("recommend --model @b.model --out @OUT.csv --top", &["3", "4", "300"]),
    (
        "evaluate --lists @lists.csv --truth @some.csv --out @OUT.csv --summary @OUT-means.csv",
        &[
            "",
            "--at 5",
            "--at all",
            "--metrics ndcg,rbp",
            "--metrics graded_ndcg --value-column rating",
            "--metrics graded_ndcg --value-column time",
            "--rbp-patience 0.5",
            "--discount shifted",
            "--missing-lists empty",
            "--catalog @table.csv",
        ],
    ),
];

/// Of a model only what its arrays hold: the settings stand in its header, whether they do anything or not.
fn hash_of_content(path: &Path) -> blake3::Hash {
    let bytes = std::fs::read(path).unwrap();
    let n_header_bytes = match path.extension() {
        None => 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize,
        Some(_) => 0,
    };
    blake3::hash(&bytes[n_header_bytes..])
}

#[test]
fn every_setting_changes_the_files() {
    let inputs = tempfile::tempdir().unwrap();
    let table = inputs.path().join("table.csv");
    SMALL.write(&table);
    let scene = Scene::new(Some(&[2]), &table);
    for job in [
        // Neither all users nor all items, so that it matters where the table is given; the lists are not of all of its users.
        "split --data @table.csv --method temporal --at 800000 --out-train @most.csv --out-test @some.csv",
        "als train --data @table.csv --factors 8 --iterations 2 --out @a.model",
        "knn train --data @table.csv --out @b.model",
        "popular train --data @table.csv --out @c.model",
        "knn train --data @table.csv --max-neighbours 1 --out @near.model",
        "knn train --data @table.csv --min-neighbours 5 --out @few.model",
        "knn train --data @most.csv --min-neighbours 5 --out @most.model",
        "recommend --model @most.model --out @lists.csv",
    ] {
        scene.run(job);
    }
    for (place, (job, variants)) in VARIANTS.iter().enumerate() {
        let mut seen = HashSet::new();
        for (number, flags) in variants.iter().enumerate() {
            let out = format!("out-{place}-{number}");
            scene.run(&format!("{} {flags}", job.replace("OUT", &out)));
            let names = scene.hashes().into_keys().filter(|name| name.starts_with(&out));
            let contents: Vec<blake3::Hash> = names.map(|name| hash_of_content(&scene.path(&name))).collect();
            assert!(!contents.is_empty());
            assert!(seen.insert(contents), "{job}: {flags:?} changes nothing");
        }
    }
}
