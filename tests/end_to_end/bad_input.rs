//! What a person does wrong, and what the machine runs out of: each gets its exit code and one sentence that names the thing, leaves
//! nothing half-written and costs no committed work.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use paceline_tests::bench::{Bench, check};
use paceline_tests::cluster::{Cluster, wait_for};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const TABLE: &str = "size,colour,kind\n1,red,a\n2,blue,b\n3,red,a\n4,blue,b\n5,red,a\n6,blue,b\n";

fn train<'a>(data: &'a str, target: &'a str, out: &'a str) -> Vec<&'a str> {
    vec!["forest", "train", "--data", data, "--target", target, "--trees", "3", "--out", out]
}

#[test]
fn tables_that_cannot_be_trained_on() {
    let bench = Bench::new();
    let out = bench.output("m.forest");
    let refuses = |data: &str, target: &str, words: &[&str]| bench.refuses(&train(data, target, &out), 2, words);
    refuses(bench.inputs.join("none.csv").to_str().unwrap(), "kind", &["none.csv"]);
    let table = bench.input("t.csv", TABLE);
    refuses(&table, "kinds", &["t.csv", "kinds", "kind"]);
    refuses(&bench.input("t.xlsx", TABLE), "kind", &["t.xlsx"]);
    refuses(&bench.input("empty.csv", ""), "kind", &["empty.csv"]);
    refuses(&bench.input("header.csv", "size,kind\n"), "kind", &["header.csv"]);
    refuses(&bench.input("one.csv", "size,kind\n1,a\n2,a\n"), "kind", &["kind"]);
    refuses(&bench.input("holes.csv", "size,kind\n1,a\n2,\n3,b\n"), "kind", &["kind"]);
    refuses(&bench.input("ragged.csv", "size,kind\n1,a\n2\n3,b\n"), "kind", &["ragged.csv", "3"]);
    refuses(&bench.input("broken.parquet", "PAR1 and then nothing"), "kind", &["broken.parquet"]);
    let mut arguments = train(&table, "kind", &out);
    arguments[7] = "0";
    bench.refuses(&arguments, 2, &["trees"]);
    let mut arguments = train(&table, "kind", &out);
    arguments.extend(["--exclude", "size,colour"]);
    bench.refuses(&arguments, 2, &["column"]);
}

#[test]
fn unreadable_files() {
    let bench = Bench::new();
    let table = bench.input("secret.csv", TABLE);
    std::fs::set_permissions(&table, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::read(&table).is_ok() {
        // The superuser reads anything; a directory in a file's place cannot be read by anyone.
        std::fs::remove_file(&table).unwrap();
        std::fs::create_dir(&table).unwrap();
    }
    bench.refuses(&train(&table, "kind", &bench.output("m.forest")), 2, &["secret.csv"]);
}

#[test]
fn models_that_cannot_be_used() {
    let bench = Bench::new();
    let (table, out) = (bench.input("t.csv", TABLE), bench.output("out.csv"));
    let model = bench.inputs.join("good.forest");
    bench.cluster.succeed(&[&["run"], &train(&table, "kind", model.to_str().unwrap())[..]].concat());
    let predict =
        |model: &str, words: &[&str]| bench.refuses(&["forest", "predict", "--model", model, "--data", &table, "--out", &out], 2, words);
    let whole = std::fs::read(&model).unwrap();
    predict(&bench.input("cut.forest", &whole[..whole.len() - 7]), &["cut.forest"]);
    predict(&bench.input("short.forest", &whole[..5]), &["short.forest"]);
    predict(&bench.factors("factors.safetensors", 2, 2, 1.0), &["factors.safetensors", "forest"]);
    let version = b"\"paceline.version\":\"1\"";
    let at = whole.windows(version.len()).position(|bytes| bytes == version).expect("the version stands in the header");
    let mut newer = whole.clone();
    newer[at + 20] = b'9';
    predict(&bench.input("newer.forest", newer), &["newer.forest", "version 9"]);
    let other = bench.input("other.csv", "size,kind\n1,a\n");
    bench.refuses(&["forest", "predict", "--model", model.to_str().unwrap(), "--data", &other, "--out", &out], 2, &["colour"]);
}

#[test]
fn recommenders_that_cannot_be_used() {
    let bench = Bench::new();
    let out = bench.output("top.csv");
    let recommend = |model: &str, more: &[&str], words: &[&str]| {
        bench.refuses(&[&["recommend", "--model", model, "--out", &out], more].concat(), 2, words);
    };
    recommend(&bench.factors("widths.safetensors", 2, 3, 1.0), &[], &["widths.safetensors", "2", "3"]);
    recommend(&bench.factors("nan.safetensors", 2, 2, f32::NAN), &[], &["nan.safetensors", "user_factors"]);
    let good = bench.factors("good.safetensors", 2, 2, 1.0);
    recommend(&good, &["--users", &bench.input("users.csv", "user\n0\n7\n")], &["7"]);
    recommend(&good, &["--users", &bench.input("nobody.csv", "user\n")], &["nobody.csv"]);
    recommend(&good, &["--top", "0"], &["top"]);
    recommend(&good, &["--seen", &bench.input("seen.csv", "user,item\n0,99\n")], &["99"]);
}

#[test]
fn an_output_that_exists_is_kept_without_force() {
    let bench = Bench::new();
    let table = bench.input("t.csv", TABLE);
    let kept = bench.input("kept.forest", "precious");
    let output = bench.cluster.run(&[&["run"], &train(&table, "kind", &kept)[..]].concat());
    check(&output, &["train onto a file"], 2, &["kept.forest", "--force"]);
    assert_eq!(std::fs::read(&kept).unwrap(), b"precious");
    bench.cluster.succeed(&[&["run"], &train(&table, "kind", &kept)[..], &["--force"]].concat());
    assert_ne!(std::fs::read(&kept).unwrap(), b"precious");
}

#[test]
fn an_input_is_kept_even_with_force() {
    let bench = Bench::new();
    let (table, out) = (bench.input("t.csv", TABLE), bench.output("out.csv"));
    // Without an extension a path can be a directory of tables, and so an output of every workload.
    let model = bench.inputs.join("forest");
    let model = model.to_str().unwrap();
    bench.cluster.succeed(&[&["run"], &train(&table, "kind", model)[..]].concat());
    let link = bench.inputs.join("link.csv");
    std::os::unix::fs::symlink(&table, &link).unwrap();
    let (link, folder) = (link.to_str().unwrap(), bench.inputs.to_str().unwrap());
    let factors = bench.factors("factors", 2, 2, 1.0);
    let seen = bench.input("seen.csv", "user,item\n0,1\n");
    let predict = |data, out| ["forest", "predict", "--model", model, "--data", data, "--out", out].to_vec();
    let recommend = |out| ["recommend", "--model", &factors, "--seen", &seen, "--out", out].to_vec();
    let jobs = [
        (train(&table, "kind", &table), "t.csv: is an input"),
        (train(link, "kind", &table), "t.csv: is an input"),
        ([&train(&table, "kind", model)[..], &["--add-to", model]].concat(), "forest: is an input"),
        ([&train(&table, "kind", &out)[..], &["--oob-predictions", link]].concat(), "link.csv: is an input"),
        (predict(&table, model), "forest: is an input"),
        (predict(&table, &table), "t.csv: is an input"),
        (predict(&table, folder), "an input of this job"),
        (recommend(&seen), "seen.csv: is an input"),
        (recommend(&factors), "factors: is an input"),
    ];
    let contents = || [&table, model, &factors, &seen].map(|path| std::fs::read(path).unwrap());
    let before = contents();
    for (job, words) in jobs {
        bench.refuses(&[&job[..], &["--force"]].concat(), 2, &[words]);
    }
    assert_eq!(contents(), before);
}

#[test]
fn no_items_at_all_is_success() {
    let bench = Bench::new();
    bench.cluster.succeed(&["run", "noop", "--items", "0"]);
}

#[test]
fn a_coordinator_that_is_not_there() {
    let bench = Bench::new();
    for args in [&["jobs"][..], &["submit", "noop"], &["agents"], &["coordinator", "status"], &["coordinator", "stop"]] {
        check(&bench.cluster.run(args), args, 3, &["coordinator"]);
    }
}

#[test]
fn a_second_coordinator_in_one_directory() {
    let mut bench = Bench::new();
    bench.cluster.start_coordinator();
    let args = ["coordinator", "start", "--listen", "127.0.0.1:0"];
    check(&bench.cluster.run(&args), &args, 2, &["coordinator"]);
    bench.cluster.succeed(&["jobs"]);
}

#[test]
fn a_client_with_the_certificates_of_another_cluster() {
    let (mut ours, mut theirs) = (Cluster::new(), Cluster::new());
    ours.start_coordinator();
    theirs.start_coordinator();
    // Our address, their certificates.
    let address = "coordinator.json";
    std::fs::copy(ours.path().join(address), theirs.path().join(address)).unwrap();
    check(&theirs.run(&["jobs"]), &["jobs"], 3, &["certificate"]);
    ours.succeed(&["jobs"]);
}

#[test]
fn bytes_that_are_no_handshake_and_frames_that_are_too_long_harm_nobody() {
    use std::io::{Read, Write};
    let mut cluster = Cluster::new();
    cluster.start_coordinator();
    let status = cluster.json(&["coordinator", "status"]);
    let address = status["addresses"][0].as_str().unwrap().to_owned();
    for bytes in [vec![0xff; 1 << 20], b"GET / HTTP/1.0\r\n\r\n".to_vec(), vec![]] {
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        // The other side may hang up in the middle: that is its right.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!String::from_utf8_lossy(&answer).contains("HTTP"));
    }
    cluster.succeed(&["jobs"]);
}

/// A filesystem of 1 MiB, gone when dropped; `None` where this process may not mount.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "paceline-test"]).arg(at).status();
        mounted.is_ok_and(|s| s.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_pauses_the_job_and_room_lets_it_go_on() {
    let mut bench = Bench::new();
    let disk = bench.cluster.scratch().join("small");
    let Some(_mounted) = SmallDisk::mount(&disk) else {
        #[expect(clippy::print_stderr, reason = "a skipped check must be seen")]
        {
            eprintln!("SKIPPED: a full disk: this process may not mount a filesystem");
        }
        return;
    };
    let ballast = disk.join("ballast");
    std::fs::write(&ballast, vec![1_u8; 2 << 20]).expect_err("the disk is smaller than this");
    bench.cluster.start_coordinator();
    bench.cluster.start_agent(1);
    let table = bench.input("t.csv", TABLE);
    let model = disk.join("m.forest");
    bench.cluster.succeed(&[&["submit"], &train(&table, "kind", model.to_str().unwrap())[..]].concat());
    let state = |bench: &Bench| bench.cluster.json(&["job", "show", "last"])["job"].clone();
    let paused = wait_for("the job to pause", || Some(state(&bench)).filter(|job| job["state"] == "paused"));
    assert!(paused["reason"].as_str().unwrap().contains("m.forest"), "{paused}");
    assert!(!model.exists());
    std::fs::remove_file(&ballast).unwrap();
    bench.cluster.succeed(&["job", "retry", "last"]);
    bench.cluster.succeed(&["job", "wait", "last"]);
    assert!(model.exists());
}
