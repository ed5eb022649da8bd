//! The whole chain of `recommend` on small models: against a naive recommender, at several partitions, and with everything that can
//! be wrong with its input.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use super::*;
use crate::registry::Settings;
use crate::table::{Column, Ids, TableSource};
use crate::testing::{Partition, refusal_of, run_chain};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

/// A model file in the making, as a Python script would write it.
#[derive(Clone, Debug, Default)]
struct TestModel {
    arrays: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>,
}

impl TestModel {
    fn with<T: bytemuck::Pod>(mut self, name: &str, dtype: Dtype, shape: &[usize], elements: &[T]) -> Self {
        self.arrays.insert(name.to_owned(), (dtype, shape.to_vec(), bytemuck::cast_slice(elements).to_vec()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.arrays.remove(name);
        self
    }

    /// Factors from a small generator; scores tie now and then.
    fn of_shape(n_users: usize, n_items: usize, n_factors: usize) -> Self {
        let mut state = 7_u32;
        let mut values = |n: usize| -> Vec<f32> {
            let mut value = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 28) as f32 / 8.0 - 1.0
            };
            (0..n).map(|_| value()).collect()
        };
        let (users, items) = (values(n_users * n_factors), values(n_items * n_factors));
        let (user_bias, item_bias) = (values(n_users), values(n_items));
        Self::default()
            .with("user_factors", Dtype::F32, &[n_users, n_factors], &users)
            .with("item_factors", Dtype::F32, &[n_items, n_factors], &items)
            .with("user_bias", Dtype::F32, &[n_users], &user_bias)
            .with("item_bias", Dtype::F32, &[n_items], &item_bias)
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        self.arrays
            .get(name)
            .map_or(vec![], |(_, _, bytes)| bytes.chunks_exact(4).map(|b| f32::from_ne_bytes(b.try_into().unwrap())).collect())
    }

    fn n_rows(&self, name: &str) -> usize {
        self.arrays[name].1[0]
    }
}

/// A directory with a model and the settings of a job on it.
struct Fixture {
    dir: tempfile::TempDir,
    model: TestModel,
    settings: RecommendSettings,
}

impl Fixture {
    fn new(model: TestModel) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = RecommendSettings {
            model: dir.path().join("model.safetensors"),
            out: dir.path().join("out.parquet"),
            users: UserChoice::All,
            top: 10,
            seen: None,
            candidates: None,
            unknown_users: UnknownUsers::Error,
            user_column: None,
            item_column: None,
            force: false,
        };
        let fixture = Self { dir, model, settings };
        fixture.write_model();
        fixture
    }

    fn write_model(&self) {
        let views: Vec<_> = self
            .model
            .arrays
            .iter()
            .map(|(name, (dtype, shape, bytes))| (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()))
            .collect();
        safetensors::serialize_to_file(views, None, &self.settings.model).unwrap();
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn run(&mut self, out: &str, partition: &Partition) -> JobSummary {
        self.settings.out = self.dir.path().join(out);
        let job_dir = tempfile::tempdir().unwrap();
        let summary = run_chain(&self.settings, 0, job_dir.path(), partition).unwrap_or_else(|failure| panic!("{failure}"));
        self.settings.out = self.settings.out.components().collect();
        summary
    }

    fn refusal(&self) -> String {
        refusal_of(&self.settings)
    }

    /// Every user's list, by the definition: all scores, sorted.
    fn naive(&self, users: &[usize], top_n: usize, seen: &HashSet<(usize, usize)>) -> Vec<(usize, usize, u32, f32)> {
        let (user_factors, item_factors) = (self.model.floats("user_factors"), self.model.floats("item_factors"));
        let (user_bias, item_bias) = (self.model.floats("user_bias"), self.model.floats("item_bias"));
        let n_items = self.model.n_rows("item_factors");
        let n_factors = item_factors.len() / n_items;
        let mut rows = vec![];
        for &user in users {
            let score = |item: usize| {
                let bias = user_bias.get(user).unwrap_or(&0.0) + item_bias.get(item).unwrap_or(&0.0);
                (0..n_factors).fold(bias, |sum, f| user_factors[user * n_factors + f].mul_add(item_factors[item * n_factors + f], sum))
                    + 0.0
            };
            let mut list: Vec<(usize, f32)> =
                (0..n_items).filter(|&item| !seen.contains(&(user, item))).map(|item| (item, score(item))).collect();
            list.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            rows.extend(list.iter().take(top_n).zip(1..).map(|(&(item, score), rank)| (user, item, rank, score)));
        }
        rows
    }
}

/// The rows of a written table; ids as text.
fn read(path: &Path) -> Vec<(String, String, u32, f32)> {
    let table = TableSource::open(&[path.to_owned()]).unwrap();
    let names: Vec<&str> = table.schema().fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["user", "item", "rank", "score"]);
    let text_of = |ids: &Ids, row: usize| match ids {
        Ids::Int(numbers) => numbers[row].to_string(),
        Ids::Text(texts) => texts.levels[texts.codes[row] as usize].clone(),
    };
    let number_of = |column: &Column, row: usize| match column {
        Column::Numeric(numbers) => numbers.values[row],
        Column::Text(_) => panic!("text"),
    };
    let ids = table.read_ids(&["user", "item"]).unwrap();
    let (ranks, scores) = (table.read_column("rank").unwrap(), table.read_column("score").unwrap());
    (0..ids[0].len())
        .map(|i| (text_of(&ids[0], i), text_of(&ids[1], i), number_of(&ranks, i) as u32, number_of(&scores, i) as f32))
        .collect()
}

fn as_text(rows: Vec<(usize, usize, u32, f32)>) -> Vec<(String, String, u32, f32)> {
    rows.into_iter().map(|(user, item, rank, score)| (user.to_string(), item.to_string(), rank, score)).collect()
}

fn fact<'a>(summary: &'a JobSummary, name: &str) -> Option<&'a str> {
    summary.facts.iter().find(|(fact, _)| fact == name).map(|(_, value)| value.as_str())
}

/// Zero-padded text, as NumPy's `S` arrays are.
fn padded(texts: &[String], width: usize) -> Vec<u8> {
    texts.iter().flat_map(|text| text.bytes().chain(std::iter::repeat(0)).take(width).collect::<Vec<_>>()).collect()
}

#[test]
fn all_users_get_the_lists_of_the_naive_recommender() {
    for n_factors in [1, 5, 64] {
        let mut fixture = Fixture::new(TestModel::of_shape(70, 333, n_factors));
        fixture.settings.top = 17;
        let naive = as_text(fixture.naive(&(0..70).collect::<Vec<_>>(), 17, &HashSet::new()));
        for out in ["out.parquet", "out.csv", "out", "out.v2/"] {
            let summary = fixture.run(out, &Partition::of(9, 2));
            assert_eq!(read(&fixture.settings.out), naive, "{out}");
            assert_eq!((fact(&summary, "users"), fact(&summary, "recommendations")), (Some("70"), Some("1190")));
        }
    }
}

#[test]
fn every_partition_gives_the_same_bytes() {
    let mut fixture = Fixture::new(TestModel::of_shape(90, 200, 12));
    fixture.settings.seen = Some(fixture.file("seen.csv", "user,item\n3,4\n89,0\n3,4\n"));
    for out in ["a.parquet", "a.csv", "a"] {
        let mut hashes = HashSet::new();
        for (i, (range_len, block_len, n_threads)) in
            [(1000, None, 1), (1, None, 2), (7, Some(3), 2), (64, Some(1), 1)].into_iter().enumerate()
        {
            let partition = Partition { block_len, ..Partition::of(range_len, n_threads) };
            let summary = fixture.run(&format!("{i}{out}"), &partition);
            hashes.insert(summary.output_hash.unwrap());
        }
        assert_eq!(hashes.len(), 1, "{out}");
    }
    let left: Vec<_> = std::fs::read_dir(fixture.dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_directory_has_files_of_a_fixed_number_of_users() {
    let n_users = USERS_PER_FILE as usize + 5;
    let mut fixture = Fixture::new(TestModel::of_shape(n_users, 3, 1));
    fixture.settings.top = 2;
    let naive = as_text(fixture.naive(&(0..n_users).collect::<Vec<_>>(), 2, &HashSet::new()));
    fixture.run("out", &Partition::of(5000, 2));
    let mut names: Vec<_> =
        std::fs::read_dir(&fixture.settings.out).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["part-00000.parquet", "part-00001.parquet"]);
    assert_eq!(read(&fixture.settings.out), naive);
    assert_eq!(read(&fixture.settings.out.join("part-00001.parquet")).len(), 10);
}

#[test]
fn ids_of_numbers_and_of_text_go_in_and_out() {
    let user_names: Vec<String> = (0..20).map(|u| format!("Žofie-{u}")).collect();
    let item_ids: Vec<i64> = (0..30).map(|i| 9_007_199_254_740_993 - i).collect();
    let model = TestModel::of_shape(20, 30, 3).with("user_ids", Dtype::U8, &[20, 12], &padded(&user_names, 12)).with(
        "item_ids",
        Dtype::I64,
        &[30],
        &item_ids,
    );
    let mut fixture = Fixture::new(model);
    fixture.settings.top = 30;
    fixture.settings.users = UserChoice::File(fixture.file("users.csv", "name\nŽofie-7\nŽofie-0\nŽofie-7\n"));
    fixture.settings.seen =
        Some(fixture.file("seen.csv", "when,item_id,user_id\n1,9007199254740993,Žofie-0\n2,9007199254740990,Žofie-7\n"));
    let summary = fixture.run("out.csv", &Partition::of(1, 1));
    let naive = fixture.naive(&[7, 0], 30, &HashSet::from([(0, 0), (7, 3)]));
    let naive: Vec<_> =
        naive.into_iter().map(|(user, item, rank, score)| (user_names[user].clone(), item_ids[item].to_string(), rank, score)).collect();
    assert_eq!(read(&fixture.settings.out), naive);
    assert_eq!(fact(&summary, "users"), Some("2"));
    assert_eq!(fact(&summary, "users named again and left out"), Some("1"));
}

#[test]
fn text_ids_that_look_like_numbers_are_found() {
    let names: Vec<String> = ["10", "20", "30"].map(str::to_owned).to_vec();
    let mut fixture = Fixture::new(TestModel::of_shape(3, 5, 2).with("user_ids", Dtype::U8, &[3, 4], &padded(&names, 4)));
    fixture.settings.users = UserChoice::File(fixture.file("users.csv", "user\n30\n"));
    fixture.run("out.csv", &Partition::of(9, 1));
    assert!(read(&fixture.settings.out).iter().all(|row| row.0 == "30"));
}

#[test]
fn seen_items_come_from_the_model_and_from_a_table_together() {
    let csr = |model: TestModel| {
        model.with("seen_indptr", Dtype::I64, &[5], &[0_i64, 2, 2, 6, 6]).with("seen_indices", Dtype::I32, &[6], &[0_i32, 5, 0, 1, 2, 3])
    };
    let mut fixture = Fixture::new(csr(TestModel::of_shape(4, 6, 2)));
    let mut seen = HashSet::from([(0, 0), (0, 5), (2, 0), (2, 1), (2, 2), (2, 3)]);
    fixture.run("a.parquet", &Partition::of(3, 1));
    assert_eq!(read(&fixture.settings.out), as_text(fixture.naive(&[0, 1, 2, 3], 10, &seen)));
    // User 2 has seen everything then, and gets no row.
    fixture.settings.seen = Some(fixture.file("seen.csv", "user,item\n2,4\n2,5\n2,0\n1,3\n"));
    seen.extend([(2, 4), (2, 5), (1, 3)]);
    fixture.run("b.parquet", &Partition::of(3, 1));
    let rows = read(&fixture.settings.out);
    assert_eq!(rows, as_text(fixture.naive(&[0, 1, 2, 3], 10, &seen)));
    assert!(rows.iter().all(|row| row.0 != "2"));
}

#[test]
fn users_who_were_set_aside_are_left_out_and_counted() {
    let mut fixture = Fixture::new(TestModel::of_shape(12, 8, 2));
    let quarantined = vec![(StageIdx(1), 4), (StageIdx(1), 5)];
    let summary = fixture.run("out.parquet", &Partition { quarantined, ..Partition::of(5, 1) });
    let users: Vec<usize> = (0..12).filter(|user| ![4, 5].contains(user)).collect();
    assert_eq!(read(&fixture.settings.out), as_text(fixture.naive(&users, 10, &HashSet::new())));
    assert_eq!((fact(&summary, "users"), fact(&summary, "users set aside")), (Some("10"), Some("2")));
}

#[test]
fn a_score_beyond_the_range_fails_its_user_alone() {
    let mut users = vec![1.0_f32; 8];
    users[5] = f32::MAX;
    let model = TestModel::default().with("user_factors", Dtype::F32, &[8, 1], &users).with(
        "item_factors",
        Dtype::F32,
        &[3, 1],
        &[1.0_f32, 2.0, 3.0],
    );
    let mut fixture = Fixture::new(model);
    let job_dir = tempfile::tempdir().unwrap();
    let failure = run_chain(&fixture.settings, 0, job_dir.path(), &Partition::of(8, 1)).unwrap_err();
    assert_eq!(failure.kind, paceline_common::failure::FailureKind::Item);
    assert!(failure.message.contains("item 5: the score of user 5 and item 1 is inf"), "{failure}");
    let summary = fixture.run("out.csv", &Partition { quarantined: vec![(StageIdx(1), 5)], ..Partition::of(8, 1) });
    assert_eq!(fact(&summary, "users set aside"), Some("1"));
}

fn assert_refused(model: TestModel, expected: &[&str]) {
    let message = Fixture::new(model).refusal();
    assert!(expected.iter().all(|part| message.contains(part)), "{message}");
    assert!(!message.contains('\n'));
}

#[test]
fn models_that_cannot_be_used_are_refused_with_the_array_named() {
    let good = || TestModel::of_shape(4, 6, 2);
    assert_refused(good().without("item_factors"), &["has no array item_factors"]);
    assert_refused(good().with("item_factors", Dtype::F32, &[4, 3], &[0.0_f32; 12]), &["user_factors has 2 columns and item_factors 3"]);
    assert_refused(good().with("user_factors", Dtype::F64, &[4, 2], &[0.0_f64; 8]), &["user_factors", "F64", "F32"]);
    assert_refused(good().with("user_factors", Dtype::F32, &[8], &[0.0_f32; 8]), &["user_factors", "[8]"]);
    assert_refused(good().with("item_bias", Dtype::F32, &[5], &[0.0_f32; 5]), &["item_bias", "[6]"]);
    assert_refused(good().with("user_ids", Dtype::I64, &[3], &[1_i64, 2, 3]), &["user_ids", "[4]"]);
    assert_refused(good().with("user_ids", Dtype::F32, &[4], &[1.0_f32; 4]), &["user_ids", "F32", "I64"]);
    assert_refused(good().with("user_ids", Dtype::I64, &[4], &[1_i64, 2, 3, 2]), &["user_ids has 2 in rows 1 and 3"]);
    assert_refused(good().with("item_ids", Dtype::U8, &[5, 2], &[0_u8; 10]), &["item_ids", "[6, width]"]);
    assert_refused(good().with("user_ids", Dtype::U8, &[4, 1], &[65_u8, 255, 66, 67]), &["user_ids", "UTF-8", "row 1"]);
    let none: [f32; 0] = [];
    assert_refused(TestModel::of_shape(4, 6, 2).without("user_bias").with("user_factors", Dtype::F32, &[0, 2], &none), &["no users"]);
    assert_refused(TestModel::of_shape(4, 6, 2).without("item_bias").with("item_factors", Dtype::F32, &[0, 2], &none), &["no items"]);
    let no_factors = TestModel::default().with("user_factors", Dtype::F32, &[4, 0], &none).with("item_factors", Dtype::F32, &[6, 0], &none);
    assert_refused(no_factors, &["no columns"]);
}

#[test]
fn values_that_are_not_finite_are_refused_with_their_row() {
    let good = || TestModel::of_shape(4, 6, 2);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut items = [0.5; 12];
        items[7] = bad;
        assert_refused(good().with("item_factors", Dtype::F32, &[6, 2], &items), &["item_factors", "row 3"]);
        assert_refused(good().with("user_bias", Dtype::F32, &[4], &[0.0, 1.0, bad, 0.0]), &["user_bias", "row 2"]);
    }
}

#[test]
fn malformed_rows_of_seen_items_are_refused() {
    let csr = |indptr: &[i64], indices: &[i32]| {
        let model = TestModel::of_shape(2, 4, 1).with("seen_indptr", Dtype::I64, &[indptr.len()], indptr);
        model.with("seen_indices", Dtype::I32, &[indices.len()], indices)
    };
    assert_refused(csr(&[0, 1, 2], &[0, 1]).without("seen_indptr"), &["only one of the arrays"]);
    assert_refused(csr(&[0, 2], &[0, 1]), &["seen_indptr", "[3]"]);
    assert_refused(csr(&[0, 2, 1], &[0]), &["fall at user 0"]);
    assert_refused(csr(&[0, 1, 3], &[0, 1]), &["do not span"]);
    assert_refused(csr(&[0, 1, 2], &[0, 4]), &["user 1 has seen item 4", "4 items"]);
    assert_refused(csr(&[0, 1, 2], &[-1, 0]), &["user 0 has seen item"]);
    assert_refused(csr(&[0, 0, 2], &[2, 1]), &["user 1", "ascending", "sum_duplicates"]);
}

#[test]
fn tables_that_do_not_fit_the_model_are_refused() {
    let mut fixture = Fixture::new(TestModel::of_shape(4, 6, 2));
    for (users, expected) in
        [("user\n3\n4\n", "user 4 is not in the model"), ("user\n-1\n", "user -1"), ("user\nanna\n", "user anna"), ("user\n", "users.csv")]
    {
        fixture.settings.users = UserChoice::File(fixture.file("users.csv", users));
        let message = fixture.refusal();
        assert!(message.contains(expected), "{message}");
    }
    fixture.file("users.csv", "user\n1\n");
    fixture.settings.user_column = Some("person".to_owned());
    assert!(fixture.refusal().contains("person"));
    fixture.settings.user_column = None;
    fixture.settings.users = UserChoice::File(fixture.dir.path().join("missing.csv"));
    assert!(fixture.refusal().contains("missing.csv"));
    fixture.settings.users = UserChoice::All;
    let cases = [
        ("user,item\n0,6\n", "no row names a user and an item of the model"),
        ("user,item\n9,0\n", "no row names a user"),
        ("user\n0\n", "--item-column"),
        ("item,when\n0,1\n", "--user-column"),
    ];
    for (seen, expected) in cases {
        fixture.settings.seen = Some(fixture.file("seen.csv", seen));
        let message = fixture.refusal();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn candidates_alone_are_scored() {
    let mut fixture = Fixture::new(TestModel::of_shape(5, 40, 3));
    let mut text = "user,item\n0,999\n77,1\n".to_owned();
    let candidates: HashSet<(usize, usize)> =
        (0..4).flat_map(|user| (0..40).map(move |item| (user, item))).filter(|(u, i)| (u + i) % 3 == 0).collect();
    candidates.iter().for_each(|(user, item)| text.push_str(&format!("{user},{item}\n")));
    fixture.settings.candidates = Some(fixture.file("candidates.csv", &text));
    fixture.settings.seen = Some(fixture.file("seen.csv", "user,item\n0,3\n1,2\n8,8\n"));
    assert!(fixture.refusal().contains("user 77 is not in the model"));
    fixture.settings.unknown_users = UnknownUsers::Skip;
    let summary = fixture.run("out.csv", &Partition::of(2, 2));
    assert_eq!(fact(&summary, "rows of candidates that the model lacks"), Some("2"));
    assert_eq!(fact(&summary, "rows of seen items that the model lacks"), Some("1"));
    assert_eq!(fact(&summary, "users without a list"), Some("1"), "the last user has no candidates");
    // Whatever is no candidate counts as seen.
    let mut seen: HashSet<(usize, usize)> = [(0, 3), (1, 2)].into();
    seen.extend((0..5).flat_map(|user| (0..40).map(move |item| (user, item))).filter(|pair| !candidates.contains(pair)));
    let expected = as_text(fixture.naive(&[0, 1, 2, 3, 4], 10, &seen));
    assert_eq!(read(&fixture.dir.path().join("out.csv")), expected);
}

#[test]
fn users_that_the_model_lacks_can_be_left_out() {
    let mut fixture = Fixture::new(TestModel::of_shape(4, 12, 3));
    fixture.settings.users = UserChoice::File(fixture.file("users.csv", "user\n3\n44\n1\n-2\n"));
    assert!(fixture.refusal().contains("user 44 is not in the model"));
    fixture.settings.unknown_users = UnknownUsers::Skip;
    let summary = fixture.run("out.csv", &Partition::of(1, 1));
    assert_eq!(fact(&summary, "users that the model lacks, left out"), Some("2"));
    assert_eq!(read(&fixture.dir.path().join("out.csv")), as_text(fixture.naive(&[3, 1], 10, &HashSet::new())));
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let fixture = Fixture::new(TestModel::of_shape(4, 6, 2));
    let refusal = |change: &dyn Fn(&mut RecommendSettings)| {
        let mut settings = fixture.settings.clone();
        change(&mut settings);
        refusal_of(&settings)
    };
    assert!(refusal(&|s| s.top = 0).contains("--top 0"));
    assert!(refusal(&|s| s.item_column = Some("x".to_owned())).contains("--seen"));
    assert!(refusal(&|s| s.user_column = Some("x".to_owned())).contains("--users"));
    assert!(refusal(&|s| s.out = fixture.dir.path().join("out.xlsx")).contains(".parquet or .csv"));
    assert!(refusal(&|s| s.out = fixture.dir.path().join("missing/out.csv")).contains("does not exist"));
    assert!(refusal(&|s| s.model = fixture.dir.path().join("missing.safetensors")).contains("missing.safetensors"));
    assert!(refusal(&|s| s.model = fixture.file("broken.safetensors", "not a model at all")).contains("broken.safetensors"));
}

#[test]
fn an_output_that_exists_is_replaced_only_with_force() {
    let mut fixture = Fixture::new(TestModel::of_shape(4, 6, 2));
    let first = fixture.run("out.parquet", &Partition::of(9, 1));
    assert!(fixture.refusal().contains("--force"));
    fixture.settings.force = true;
    std::fs::write(&fixture.settings.out, "old").unwrap();
    assert_eq!(fixture.run("out.parquet", &Partition::of(9, 1)).output_hash, first.output_hash);
    let bytes = std::fs::read(&fixture.settings.out).unwrap();
    assert_eq!(first.output_hash.unwrap(), blake3::hash(&bytes).to_hex().to_string());
}

#[test]
fn an_input_that_changes_after_the_submission_is_refused() {
    let fixture = Fixture::new(TestModel::of_shape(4, 6, 2));
    let workload = fixture.settings.clone().check(0).unwrap();
    let plan = workload.plan().unwrap();
    let cache = InputCache::default();
    assert!(cache.artifact(&plan.inputs[0]).is_ok());
    std::fs::write(&fixture.settings.model, "changed").unwrap();
    assert!(InputCache::default().artifact(&plan.inputs[0]).unwrap_err().message.contains("submit the job again"));
}

#[test]
fn settings_are_read_back_from_their_json_and_paths_are_made_absolute() {
    let mut settings: RecommendSettings = serde_json::from_str(r#"{"model": "m.safetensors", "out": "o/", "users": "u.csv"}"#).unwrap();
    assert_eq!(settings.top, 10);
    settings.resolve_paths(Path::new("/base"));
    assert_eq!((settings.model.as_path(), &settings.users), (Path::new("/base/m.safetensors"), &UserChoice::File("/base/u.csv".into())));
    let json = serde_json::to_string(&settings).unwrap();
    assert_eq!(serde_json::from_str::<RecommendSettings>(&json).unwrap(), settings);
    let all: RecommendSettings = serde_json::from_str(r#"{"model": "m", "out": "o", "users": "all"}"#).unwrap();
    assert_eq!(all.users, UserChoice::All);
}
