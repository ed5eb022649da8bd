//! Tables, models and flags that recommenders cannot use as they stand: each is refused in one sentence that names the thing and what to
//! do, or is left out and counted in the summary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use paceline_common::artifact::NewArray;
use paceline_tests::bench::Bench;

/// All that learn from a table.
const TRAINERS: [&str; 6] = [
    "als train --factors 2 --iterations 2",
    "als train --factors 2 --explicit",
    "knn train",
    "knn train --explicit",
    "popular train",
    "bias train",
];
/// Those to which values mean something.
const LEARN_FROM_VALUES: [&str; 4] =
    ["als train --factors 2 --iterations 2", "als train --factors 2 --explicit", "knn train --explicit", "bias train"];

/// Three users, four items; the last user has seen all of them.
const TABLE: &str = "user,item,rating\na,1,3\na,2,4\nb,1,5\nb,3,2\nc,1,1\nc,2,3\nc,3,4\nc,4,5\n";

/// The summary must tell exactly this of what did not count as it stands: every count, and none beside.
fn expect_notices(bench: &Bench, command: &str, expected: &[(&str, u64)]) {
    let facts = bench.facts(command);
    let is_notice = |name: &str| {
        name.contains(' ') && !["loss after", "predictions compared", "rows to", "users to"].iter().any(|of| name.starts_with(of))
    };
    let notices: Vec<(&str, u64)> =
        facts.iter().filter(|(name, _)| is_notice(name)).map(|(name, n)| (name.as_str(), n.parse().unwrap())).collect();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(notices, expected, "{command}: {facts:?}");
}

#[test]
fn tables_that_nothing_can_be_learnt_from() {
    let bench = Bench::new();
    for (name, content) in [
        ("empty.csv", ""),
        ("header.csv", "user,item,rating\n"),
        ("users.csv", "user\na\nb\n"),
        ("gaps.csv", "user,item,rating\na,1,\n,2,3\nc,,4\n"),
        ("words.csv", "user,item,rating\na,1,good\nb,2,3\n"),
        ("infinite.csv", "user,item,rating\na,1,2\nb,2,inf\n"),
        ("huge.csv", "user,item,rating\na,1,2\nb,2,-1e39\n"),
        ("unrated.csv", "user,item\na,1\nb,2\n"),
        ("zeros.csv", "user,item,rating\na\0,1,3\na,2,4\n"),
        ("table.csv", TABLE),
    ] {
        bench.input(name, content);
    }
    for trainer in TRAINERS {
        let refuses = |flags: &str, words: &[&str]| bench.refuses_input(&format!("{trainer} --out >m {flags}"), words);
        refuses("--data @none.csv", &["none.csv: cannot read", "check the path"]);
        refuses("--data @empty.csv", &["empty.csv: is empty", "write the table again"]);
        refuses("--data @header.csv", &["header.csv: has no rows", "name a table with rows"]);
        refuses("--data @users.csv", &["users.csv: has no column of items", "--item-column"]);
        refuses("--data @zeros.csv", &["zeros.csv", "user id \"a\\0\" ends in a zero byte"]);
        refuses("--data @table.csv --user-column buyer", &["table.csv: has no column 'buyer'", "'user'"]);
        refuses("--data @table.csv --user-column item --item-column item", &["table.csv: column item would serve as two things"]);
    }
    for trainer in LEARN_FROM_VALUES {
        let refuses = |flags: &str, words: &[&str]| bench.refuses_input(&format!("{trainer} --out >m {flags}"), words);
        refuses("--data @gaps.csv", &["gaps.csv: no row has a user and an item, and a value", "put at least one in"]);
        refuses("--data @words.csv", &["words.csv: column 'rating' holds text where numbers are wanted", "name another, or convert it"]);
        refuses("--data @table.csv --value-column user --user-column item --item-column rating", &["column 'user' holds text"]);
        refuses("--data @infinite.csv", &["infinite.csv: row 2: the value inf", "mend or drop it"]);
        refuses("--data @huge.csv", &["huge.csv: row 2: the value -1", "beyond the range of float32"]);
    }
    for trainer in ["als train --explicit", "knn train --explicit", "bias train"] {
        let words = ["unrated.csv: has no column of ratings", "--value-column"];
        bench.refuses_input(&format!("{trainer} --data @unrated.csv --out >m"), &words);
    }
    // Where values mean nothing they may be anything.
    for trainer in ["knn train", "popular train"] {
        for table in ["words.csv", "infinite.csv", "huge.csv", "unrated.csv"] {
            expect_notices(&bench, &format!("{trainer} --data @{table} --out @{table}.model --force"), &[]);
        }
    }
}

#[test]
fn values_too_large_to_solve_are_named_by_user_or_item() {
    let bench = Bench::new();
    // Each is a float32, and their sum is none.
    bench.input("large.csv", "user,item,rating\na,1,3e38\nb,2,1\nb,9,3e38\nb,9,3e38\n");
    bench.refuses_input(
        "als train --data @large.csv --factors 2 --out >m",
        &["large.csv: the factors of user a are", "raise --regularization, or scale the values down"],
    );
    bench.refuses_input("als train --data @large.csv --factors 2 --explicit --out >m", &["large.csv: the factors of", "--regularization"]);
}

#[test]
fn rows_that_are_left_out_or_joined_are_counted() {
    let bench = Bench::new();
    bench.input("odd.csv", "user,item,rating\na,1,3\na,1,2\na,2,\nb,1,-1\nb,3,0\n,1,2\nc,,2\n,,\nb,3,0\nd,4,5\n");
    let (no_id, no_value, again) =
        ("rows without a user or an item, left out", "rows without a value, left out", "rows of a pair that was there before");
    let (below, zero) = ("interactions of a value below 0, taken for unwanted", "interactions of the value 0, which say nothing");
    let left_out = [(no_id, 3), (no_value, 1), (again, 2)];
    let counts = [&left_out[..], &[(below, 1), (zero, 1)]].concat();
    let without_values = [(no_id, 3), (again, 2)];
    for (trainer, expected) in TRAINERS.into_iter().zip([&counts[..], &left_out, &without_values, &left_out, &without_values, &left_out]) {
        expect_notices(&bench, &format!("{trainer} --data @odd.csv --out @m --force"), expected);
    }
    // The one row of d would be tested, and none is left to train on.
    let split = "split --data @odd.csv --method leave-n-out --out-train @train.csv --out-test @test.csv";
    let untrained = "rows of users with fewer than 1 row to train on, not tested";
    expect_notices(&bench, &format!("{split} --n 2"), &[(no_id, 3), (untrained, 1)]);
    bench.refuses_input(
        "split --data @odd.csv --method leave-n-out --n 3 --out-train >a.csv --out-test >b.csv",
        &["odd.csv: no row is left to test, as the 7 that would be are of users with fewer than 1 rows to train on", "lower --min-train"],
    );
}

#[test]
fn one_user_one_item_and_one_pair_are_learnt_and_recommended_from() {
    let bench = Bench::new();
    for (name, content, n_users) in [
        ("pair.csv", "user,item,rating\na,1,3\n", 1),
        ("user.csv", "user,item,rating\na,1,3\na,2,4\na,3,1\n", 1),
        ("item.csv", "user,item,rating\na,1,3\nb,1,4\nc,1,1\n", 3),
    ] {
        bench.input(name, content);
        for trainer in TRAINERS {
            expect_notices(&bench, &format!("{trainer} --data @{name} --out @m --force"), &[]);
            expect_notices(&bench, "recommend --model @m --out @l.csv --force", &[(NO_LIST, n_users)]);
            assert_eq!(
                std::fs::read_to_string(bench.inputs.join("l.csv")).unwrap().lines().count(),
                1,
                "{trainer}: nobody is left an item"
            );
        }
    }
}

const NO_LIST: &str = "users without a list";
const SHORT_LIST: &str = "users with fewer than --top items";

#[test]
fn users_for_whom_little_or_nothing_is_left_are_counted() {
    let bench = Bench::new();
    bench.input("table.csv", TABLE);
    bench.facts("popular train --data @table.csv --out @m");
    let notices = |flags: &str, expected: &[(&str, u64)]| {
        expect_notices(&bench, &format!("recommend --model @m --out @l.csv --force {flags}"), expected);
    };
    // a has two items left, b too, c none.
    notices("--top 1", &[(NO_LIST, 1)]);
    notices("--top 2", &[(NO_LIST, 1)]);
    notices("--top 4000000000", &[(NO_LIST, 1), (SHORT_LIST, 2)]);
    bench.input("seen.csv", "user,item\na,3\na,4\nb,2\n");
    notices("--top 2 --seen @seen.csv", &[(NO_LIST, 2), (SHORT_LIST, 1)]);
    // Only what b has seen already, and nothing at all for c.
    bench.input("candidates.csv", "user,item\nb,1\nb,3\na,3\na,3\n");
    notices("--top 1 --candidates @candidates.csv", &[(NO_LIST, 2)]);
    bench.input("header.csv", "user,item\n");
    bench.refuses_input(
        "recommend --model @m --candidates @header.csv --out >l.csv",
        &["header.csv: has no rows", "name a table with rows"],
    );
    bench.refuses_input("recommend --model @m --top 0 --out >l.csv", &["--top 0", "at least 1"]);
}

#[test]
fn ids_that_the_model_lacks_are_refused_or_counted() {
    let bench = Bench::new();
    bench.input("table.csv", TABLE);
    bench.facts("popular train --data @table.csv --out @m");
    bench.input("users.csv", "user\na\nz\na\ny\nz\n");
    bench.input("nobody.csv", "user\nz\ny\n");
    bench.input("pairs.csv", "user,item\na,3\nz,1\nb,99\n");
    bench.input("elsewhere.csv", "user,item\nz,1\nb,99\n");
    bench.input("hole.csv", "user,item\na,1\n,2\n");
    let refuses = |flags: &str, words: &[&str]| bench.refuses_input(&format!("recommend --model @m --out >l.csv {flags}"), words);
    let notices = |flags: &str, expected: &[(&str, u64)]| {
        expect_notices(&bench, &format!("recommend --model @m --out @l.csv --force --top 2 {flags}"), expected);
    };
    refuses("--users @users.csv", &["users.csv: user ", " is not in the model"]);
    refuses("--users @users.csv --unknown-users error", &["users.csv: user ", " is not in the model"]);
    notices(
        "--users @users.csv --unknown-users skip",
        &[("users that the model lacks, left out", 3), ("users named again and left out", 1)],
    );
    refuses("--users @nobody.csv --unknown-users skip", &["nobody.csv: names no users of the model", "put at least one in"]);
    refuses("--users @hole.csv", &["hole.csv: line 3: the id in column 'user' is missing"]);
    refuses("--seen @hole.csv", &["hole.csv: line 3: the id in column 'user' is missing"]);
    // An item of --seen or --candidates that the model lacks makes no difference, nor does a user of --seen.
    notices("--seen @pairs.csv", &[("rows of seen items that the model lacks", 2), (NO_LIST, 1), (SHORT_LIST, 1)]);
    refuses("--candidates @pairs.csv", &["pairs.csv: user z is not in the model"]);
    notices(
        "--candidates @pairs.csv --unknown-users skip",
        &[("rows of candidates that the model lacks", 2), (NO_LIST, 2), (SHORT_LIST, 1)],
    );
    for flags in ["--seen @elsewhere.csv", "--candidates @elsewhere.csv --unknown-users skip"] {
        refuses(
            flags,
            &["elsewhere.csv: no row names a user and an item of the model (the first: user z, item 1)", "give ids as the model has them"],
        );
    }
    refuses("--users @pairs.csv --user-column buyer", &["pairs.csv: has no column 'buyer'"]);
    refuses("--candidates @pairs.csv --item-column user", &["pairs.csv: column user would serve as users and as items"]);
}

/// Three users and four items with two factors; item i is a neighbour of the one beside it.
const FACTORS: ([f32; 6], [f32; 8]) = ([0.5; 6], [0.25; 8]);
const SEEN: ([i64; 4], [i32; 5]) = ([0, 2, 4, 5], [0, 1, 2, 3, 0]);
const NEIGHBOURS: ([i64; 5], [i32; 4]) = ([0, 1, 2, 3, 4], [1, 0, 3, 2]);

fn with(mut values: Vec<f32>, place: usize, value: f32) -> Vec<f32> {
    values[place] = value;
    values
}

#[test]
fn what_is_no_number_in_a_model_is_named_by_its_row() {
    let bench = Bench::new();
    for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let refuses =
            |words: &[&str]| bench.refuses_input("recommend --model @m --out >l.csv", &[&["m: ", "train the model again"], words].concat());
        for (array, row, place) in [("user_factors", 1, 3), ("item_factors", 3, 7), ("user_bias", 2, 2), ("item_bias", 1, 1)] {
            let values = |name: &str, n: usize| if name == array { with(vec![0.5; n], place, odd) } else { vec![0.5; n] };
            let (users, items) = (values("user_factors", FACTORS.0.len()), values("item_factors", FACTORS.1.len()));
            let (user_bias, item_bias) = (values("user_bias", 3), values("item_bias", 4));
            let arrays = [
                NewArray::new("user_factors", &[3, 2], &users),
                NewArray::new("item_factors", &[4, 2], &items),
                NewArray::vector("user_bias", &user_bias),
                NewArray::vector("item_bias", &item_bias),
            ];
            bench.model("m", "factors", &arrays);
            refuses(&[&format!("array {array} has NaN or an infinity in row {row};")]);
        }
        for (array, row, place) in [("neighbour_similarities", 2, 2), ("item_means", 3, 3), ("seen_values", 1, 3)] {
            let values = |name: &str, n: usize| if name == array { with(vec![0.5; n], place, odd) } else { vec![0.5; n] };
            let (similarities, means, ratings) = (values("neighbour_similarities", 4), values("item_means", 4), values("seen_values", 5));
            let arrays = [
                NewArray::vector("neighbour_indptr", &NEIGHBOURS.0),
                NewArray::vector("seen_indptr", &SEEN.0),
                NewArray::vector("neighbour_items", &NEIGHBOURS.1),
                NewArray::vector("seen_indices", &SEEN.1),
                NewArray::vector("neighbour_similarities", &similarities),
                NewArray::vector("item_means", &means),
                NewArray::vector("seen_values", &ratings),
            ];
            bench.model("m", "neighbours", &arrays);
            refuses(&[&format!("array {array} has {odd} in row {row}")]);
        }
    }
}

#[test]
fn files_that_are_no_recommender_or_half_of_one() {
    let bench = Bench::new();
    bench.input("table.csv", TABLE);
    bench.facts("forest train --data @table.csv --target rating --trees 2 --out @forest");
    bench.facts("popular train --data @table.csv --out @popular");
    bench.facts("knn train --data @table.csv --out @knn");
    bench.facts("als train --data @table.csv --factors 2 --iterations 2 --out @als");
    let recommend = |model: &str, words: &[&str]| bench.refuses_input(&format!("recommend --model @{model} --out >l.csv"), words);
    recommend("forest", &["forest: is a forest", "name a model of `als train`, `knn train` or `popular train`"]);
    recommend("table.csv", &["table.csv: is no safetensors file", "name a model"]);
    recommend("none", &["none: cannot read", "check the path"]);
    for model in ["popular", "knn", "als"] {
        let whole = std::fs::read(bench.inputs.join(model)).unwrap();
        // In the length of the header, in the header, and in the last array.
        for n_bytes in [0, 4, 100, whole.len() - 3] {
            bench.input("cut", &whole[..n_bytes]);
            recommend("cut", &["cut: is ", "copy it again"]);
        }
        let predict = format!("forest predict --model @{model} --data @table.csv --out >p.csv");
        bench.refuses_input(&predict, &[&format!("{model}: is "), "where forest is needed", "name a file of that kind"]);
    }

    let resume = |flags: &str, words: &[&str]| {
        bench.refuses_input(&format!("als train --data @table.csv --factors 2 --iterations 4 --out >m --resume {flags}"), words);
    };
    resume("@popular", &["popular: was written by the learner popularity", "resume a model of als-implicit", "or train anew"]);
    resume("@knn", &["knn: was written by the learner knn-implicit", "resume a model of als-implicit"]);
    resume("@forest", &["forest: does not say that `als train` wrote it", "or train anew"]);
    resume("@als --explicit", &["als: was written by the learner als-implicit", "`als train` with --explicit"]);
    resume("@table.csv", &["table.csv: is no safetensors file"]);
    resume("@none", &["none: cannot read"]);
    resume("@als --alpha 2", &["als: was trained with another --alpha"]);
    resume("@als --seed 1", &["als: was trained with --seed 0; give the same"]);
    bench.refuses_input(
        "als train --data @table.csv --factors 2 --iterations 2 --resume @als --out >m",
        &["als: has 2 iterations already, and 2 are wanted", "raise --iterations"],
    );
    bench.input("other.csv", "user,item,rating\na,1,3\nq,2,4\n");
    bench.refuses_input(
        "als train --data @other.csv --factors 2 --iterations 4 --resume @als --out >m",
        &["als: has other users or items than the table", "resume with the table that it was trained on"],
    );
    let mut bytes = std::fs::read(bench.inputs.join("als")).unwrap();
    bench.input("cut", &bytes[..bytes.len() - 3]);
    resume("@cut", &["cut: is a damaged safetensors file", "copy it again"]);
    put_nan_first(&mut bytes, "item_factors");
    bench.input("nan", bytes);
    resume("@nan", &["nan: array item_factors has NaN or an infinity in row 0", "train anew without --resume"]);
}

/// Overwrites the first number of an array of a model.
fn put_nan_first(model: &mut [u8], array: &str) {
    let header_len = u64::from_le_bytes(model[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&model[8..8 + header_len]).unwrap();
    let at = 8 + header_len + header[array]["data_offsets"][0].as_u64().unwrap() as usize;
    model[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
}

#[test]
fn lists_and_truths_that_do_not_fit_are_refused_or_counted() {
    let bench = Bench::new();
    for (name, content) in [
        ("lists.csv", "user,item,rank\na,1,1\na,2,2\nb,1,1\nz,3,1\n"),
        ("odd-lists.csv", "user,item,rank\na,1,1\na,1,2\nb,1,\n,1,1\nb,,1\n"),
        ("strangers.csv", "user,item,rank\nq,1,1\n"),
        ("unordered.csv", "user,item\na,1\n"),
        ("words.csv", "user,item,score\na,1,x\n"),
        ("header.csv", "user,item,rank\n"),
        ("truth.csv", "user,item,rating\na,1,3\na,3,4\nc,2,1\n"),
        ("odd-truth.csv", "user,item,rating\n,1,3\na,,4\na,1,\na,1,4\na,1,2\nb,2,-3\n"),
        ("infinite.csv", "user,item,rating\na,1,inf\n"),
        ("predictions.csv", "user,item,prediction\na,1,3.5\na,9,2\nc,3,4\n"),
    ] {
        bench.input(name, content);
    }
    let notices = |flags: &str, expected: &[(&str, u64)]| {
        expect_notices(&bench, &format!("evaluate {flags} --out @e.csv --summary @s.csv --force"), expected);
    };
    let strange = "lists of users without a truth";
    notices("--lists @lists.csv --truth @truth.csv", &[("users with a truth and no list, in no mean", 1), (strange, 2)]);
    notices(
        "--lists @lists.csv --truth @truth.csv --missing-lists empty",
        &[("users with a truth and no list, taken for empty lists", 1), (strange, 2)],
    );
    notices(
        "--lists @odd-lists.csv --truth @truth.csv",
        &[
            ("users with a truth and no list, in no mean", 1),
            ("items that a list names again", 1),
            ("rows of the lists without a user or an item, left out", 2),
            ("rows of the lists without a rank, left out", 1),
        ],
    );
    notices(
        "--lists @lists.csv --truth @odd-truth.csv",
        &[(strange, 1), ("items that a truth names again", 2), ("rows of the truth without a user or an item, left out", 2)],
    );
    notices(
        "--predictions @predictions.csv --truth @truth.csv",
        &[("items predicted and not rated", 2), ("items rated and not predicted", 2)],
    );
    let refuses = |flags: &str, words: &[&str]| bench.refuses_input(&format!("evaluate {flags} --out >e.csv"), words);
    refuses(
        "--lists @strangers.csv --truth @truth.csv",
        &["truth.csv: has no user in common with", "strangers.csv; name tables of the same users"],
    );
    refuses("--lists @unordered.csv --truth @truth.csv", &["unordered.csv: has no column rank or score", "add one"]);
    refuses("--lists @words.csv --truth @truth.csv", &["words.csv: column 'score' holds text where numbers are wanted"]);
    refuses("--lists @header.csv --truth @truth.csv", &["header.csv: has no rows"]);
    refuses("--lists @lists.csv --truth @header.csv", &["header.csv: has no rows"]);
    refuses("--lists @lists.csv --truth @infinite.csv --metrics graded_ndcg", &["infinite.csv: row 1: the value inf"]);
    refuses("--predictions @predictions.csv --truth @unordered.csv", &["unordered.csv: has no column of ratings", "--value-column"]);
    refuses("--lists @lists.csv --truth @truth.csv --at 0", &["--at 0", "from 1 to"]);
    refuses("--lists @lists.csv --truth @truth.csv --metrics auc", &["--metrics auc", "name one of ndcg"]);
}

#[test]
fn pairs_that_cannot_be_scored_are_counted() {
    let bench = Bench::new();
    bench.input("table.csv", TABLE);
    bench.facts("knn train --explicit --min-common-users 2 --data @table.csv --out @m");
    bench.input("pairs.csv", "user,item\na,3\nz,1\nb,99\n,2\nb,4\n");
    bench.refuses_input("score --model @m --pairs @pairs.csv --out >s.csv", &["pairs.csv: user z is not in the model"]);
    let facts = bench.facts("score --model @m --pairs @pairs.csv --unknown-users skip --out @s.csv");
    let n = |name: &str| facts.get(name).map(String::as_str);
    assert_eq!(n("rows without a user or an item, left out"), Some("1"), "{facts:?}");
    assert_eq!(n("pairs of a user that the model lacks, without a score"), Some("1"), "{facts:?}");
    assert_eq!(n("pairs of an item that the model lacks, without a score"), Some("1"), "{facts:?}");
    assert_eq!(n("pairs of which the model says nothing"), Some("2"), "no two items have two users in common: {facts:?}");
    assert_eq!((n("pairs"), n("scores")), (Some("4"), Some("0")), "{facts:?}");
    bench.refuses_input("score --model @m --pairs @pairs.csv --out @pairs.csv --force", &["pairs.csv: is an input of this job"]);
    bench.input("header.csv", "user,item\n");
    bench.refuses_input("score --model @m --pairs @header.csv --out >s.csv", &["header.csv: has no rows"]);
    bench.refuses_input("score --model @table.csv --pairs @pairs.csv --out >s.csv", &["table.csv: is no safetensors file"]);
}

#[test]
fn inputs_are_kept_even_with_force() {
    let bench = Bench::new();
    // Names that could be outputs of any kind.
    bench.input("table.csv", TABLE);
    bench.input("lists.csv", "user,item,rank\na,1,1\n");
    bench.facts("als train --data @table.csv --factors 2 --iterations 2 --out @model.csv");
    let contents = || ["table.csv", "lists.csv", "model.csv"].map(|name| std::fs::read(bench.inputs.join(name)).unwrap());
    let before = contents();
    let refuses = |command: &str, input: &str| {
        bench.refuses_input(&format!("{command} --force"), &[&format!("{input}: is an input of this job"), "name another output"]);
    };
    for trainer in TRAINERS {
        refuses(&format!("{trainer} --data @table.csv --out @table.csv"), "table.csv");
    }
    refuses("als train --data @table.csv --factors 2 --iterations 4 --resume @model.csv --out @model.csv", "model.csv");
    let split = "split --data @table.csv --method leave-n-out --n 1";
    refuses(&format!("{split} --out-train @table.csv --out-test >a.csv"), "table.csv");
    refuses(&format!("{split} --out-train >a.csv --out-test @table.csv"), "table.csv");
    refuses("recommend --model @model.csv --out @model.csv", "model.csv");
    for flag in ["--users", "--seen", "--candidates"] {
        refuses(&format!("recommend --model @model.csv {flag} @table.csv --out @table.csv"), "table.csv");
    }
    refuses("evaluate --lists @lists.csv --truth @table.csv --out @lists.csv", "lists.csv");
    refuses("evaluate --lists @lists.csv --truth @table.csv --out >e.csv --summary @table.csv", "table.csv");
    refuses("evaluate --lists @lists.csv --truth @table.csv --catalog @model.csv --out @model.csv", "model.csv");
    std::fs::create_dir(bench.inputs.join("results")).unwrap();
    bench.input("results/thesis.tex", "years of work");
    for trainer in TRAINERS {
        let words = ["results: is a directory that holds", "thesis.tex", "name another output"];
        bench.refuses_input(&format!("{trainer} --data @table.csv --out @results --force"), &words);
    }
    bench.refuses_input("recommend --model @model.csv --out @results --force", &["results: is a directory that holds"]);
    bench.refuses_input(&format!("{split} --out-train >a.csv --out-test >a.csv"), &["a.csv: is named as both outputs", "name two"]);
    bench.refuses_input("evaluate --lists @lists.csv --truth @table.csv --out >a.csv --summary >a.csv", &["a.csv: is --out too"]);
    assert_eq!(contents(), before);
}
