//! One forest, one file: what a cluster makes does not depend on how many agents share it, how many cores each of them has, or
//! whether threads share a tree. Real processes, compared by hash.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use paceline_tests::cluster::{Cluster, hash_of};
use paceline_tests::simulation::random::Random;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Enough rows for a node to be divided among threads, few enough for many forests.
const N_ROWS: usize = 30_000;

/// Cores of each agent.
const CLUSTERS: [&[u32]; 4] = [&[1], &[2], &[1, 1], &[1, 1, 1, 1, 1]];

/// With 1 tree two cores share it from its root on; with 5 they share the last two only.
const NUMBERS_OF_TREES: [&str; 2] = ["1", "5"];

/// The forests that are grown: a name, and the flags.
const FORESTS: [(&str, &[&str]); 3] = [
    ("classes", &["--target", "kind", "--exclude", "amount", "--oob", "--importance", "permutation"]),
    ("extra-trees", &["--target", "amount", "--exclude", "kind", "--task", "regression", "--extra-trees"]),
    ("leaves", &["--target", "kind", "--exclude", "amount", "--max-leaf-nodes", "300", "--class-weight", "balanced"]),
];

/// Six columns of numbers with holes, one of them of whole numbers with ties, a category with holes, a class and an amount.
fn write_table(path: &Path) {
    let mut random = Random::new(11);
    let mut text = String::from("a,b,c,d,e,few,town,kind,amount\n");
    for _ in 0..N_ROWS {
        let numbers: Vec<f64> = (0..5).map(|_| random.normal()).collect();
        let (few, town) = (random.below(7), random.below(40));
        let score = numbers[0] + numbers[1] * numbers[2] + if town % 3 == 0 { 1.0 } else { -0.5 } + 0.3 * random.normal();
        for number in &numbers {
            if !random.chance(0.1) {
                write!(text, "{number}").unwrap();
            }
            text.push(',');
        }
        let town = if random.chance(0.05) { String::new() } else { format!("town{town}") };
        let kind = if score < -0.7 { "low" } else { ["middle", "high"][usize::from(score > 0.7)] };
        writeln!(text, "{few},{town},{kind},{}", score * 10.0 + few as f64).unwrap();
    }
    std::fs::write(path, text).unwrap();
}

struct Scene {
    cluster: Cluster,
    data: String,
}

impl Scene {
    fn path(&self, name: &str) -> PathBuf {
        self.cluster.scratch().join(name)
    }

    /// The hash of the model that a forest of so many trees comes to.
    fn train(&self, (name, flags): (&str, &[&str]), n_trees: &str, more: &[&str]) -> String {
        let out = self.path(&format!("{name}-{n_trees}-{}", more.len()));
        let job = ["submit", "--wait", "--seed", "4", "forest", "train", "--data", &self.data, "--trees", n_trees, "--out"];
        self.cluster.succeed(&[&job[..], &[out.to_str().unwrap()], flags, more].concat());
        hash_of(&out)
    }

    fn hashes(&self) -> Vec<String> {
        let jobs = FORESTS.into_iter().flat_map(|forest| NUMBERS_OF_TREES.map(|n_trees| (forest, n_trees)));
        jobs.map(|(forest, n_trees)| self.train(forest, n_trees, &[])).collect()
    }

    /// How many agents have done something.
    fn n_agents_at_work(&self) -> usize {
        let agents = self.cluster.json(&["agents"]);
        agents.as_array().unwrap().iter().filter(|agent| agent["n_committed"].as_u64().unwrap() > 0).count()
    }
}

#[test]
fn a_forest_is_the_same_file_at_any_number_of_agents_and_cores() {
    let inputs = tempfile::tempdir().unwrap();
    let data = inputs.path().join("table.csv");
    write_table(&data);
    let data = data.to_str().unwrap().to_owned();
    let mut expected = None;
    for cores in CLUSTERS {
        let scene = Scene { cluster: Cluster::with_agents(cores), data: data.clone() };
        scene.cluster.wait_for_agents(cores.len() as u64);
        let hashes = scene.hashes();
        let n_distinct = hashes.iter().collect::<std::collections::HashSet<_>>().len();
        assert_eq!(n_distinct, hashes.len(), "every flag and every tree changes the model");
        assert_eq!(&hashes, expected.get_or_insert(hashes.clone()), "forests of agents with {cores:?} cores against those of one core");
        // Which of five gets something to do is chance; that all the work is done by one is none.
        assert!(scene.n_agents_at_work() >= cores.len().min(2), "the forests were shared among {} agents", cores.len());
    }
}

#[test]
fn a_tree_that_threads_share_is_the_one_that_a_thread_grows_alone() {
    let cluster = Cluster::with_agents(&[2]);
    let data = cluster.scratch().join("table.csv");
    write_table(&data);
    let scene = Scene { cluster, data: data.to_str().unwrap().to_owned() };
    for forest in FORESTS {
        let whole = scene.train(forest, "5", &[]);
        // The first tree in a job of its own is shared by both cores; as one of five it is grown by one of them.
        scene.train(forest, "1", &[]);
        let first = scene.path(&format!("{}-1-0", forest.0));
        assert_eq!(scene.train(forest, "4", &["--add-to", first.to_str().unwrap()]), whole, "{}", forest.0);
    }
}
