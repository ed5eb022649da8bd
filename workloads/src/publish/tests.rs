//! Publishing, run again after a kill at each of its steps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use super::*;

struct Fixture {
    dir: tempfile::TempDir,
    force: bool,
    names: Vec<&'static str>,
}

impl Fixture {
    fn new(names: &[&'static str], force: bool) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), force, names: names.to_vec() }
    }

    fn output(&self) -> OutputPlan {
        OutputPlan { path: self.dir.path().join("out"), force: self.force, beside: vec![] }
    }

    fn staging(&self) -> PathBuf {
        self.output().staging_path(Path::new("/job"))
    }

    /// Writes the files as the write stage would.
    fn stage(&self) -> Vec<StagedFile> {
        let write = |name: &&str| {
            let path = if name.is_empty() { self.staging() } else { self.staging().join(name) };
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            files::write_atomically(&path, format!("content of {name}").as_bytes()).unwrap();
            stage_file(name, &path, 1).unwrap()
        };
        self.names.iter().map(write).collect()
    }

    fn task(&self, files: &[StagedFile]) -> PublishTask {
        PublishTask { output: self.output(), staging: self.staging(), files: files.to_vec() }
    }

    /// What stands in the directory, hidden files too.
    fn entries(&self) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(self.dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

const SHAPES: [&[&str]; 2] = [&[""], &["part-00000.parquet", "part-00001.parquet"]];

#[test]
fn an_output_appears_whole_and_nothing_else_stays() {
    for names in SHAPES {
        let fixture = Fixture::new(names, false);
        let files = fixture.stage();
        fs::write(fixture.staging().with_file_name(format!(".{}.1-2.tmp", fixture.staging().file_name().unwrap().display())), "half")
            .unwrap();
        if names.len() > 1 {
            fs::write(fixture.staging().join(".part-00001.parquet.1-2.tmp"), "half").unwrap();
        }
        let task = fixture.task(&files);
        assert!(!task.stands_already());
        task.publish().unwrap();
        assert!(task.stands_already());
        assert_eq!(fixture.entries(), ["out"]);
        // Killed between the rename and the commit, it runs again.
        task.publish().unwrap();
        assert_eq!(fixture.entries(), ["out"]);
    }
}

#[test]
fn nothing_is_replaced_without_force() {
    for names in SHAPES {
        let fixture = Fixture::new(names, false);
        let files = fixture.stage();
        fs::write(fixture.output().path, "someone else's").unwrap();
        assert!(check_output(&fixture.output(), &[]).unwrap_err().message.contains("--force"));
        let failure = fixture.task(&files).publish().unwrap_err();
        assert_eq!(failure.kind, paceline_common::failure::FailureKind::BadInput);
        assert!(failure.message.contains("has appeared"), "{failure}");
        assert_eq!(fs::read(fixture.output().path).unwrap(), b"someone else's");
        // The work is not lost: once the place is free, the same staged files are published.
        fs::remove_file(fixture.output().path).unwrap();
        fixture.task(&files).publish().unwrap();
        remove_staging(&fixture.output(), Path::new("/job")).unwrap();
        assert_eq!(fixture.entries(), ["out"]);
    }
}

#[test]
fn with_force_old_files_and_directories_give_way() {
    for names in SHAPES {
        for old_is_directory in [false, true] {
            let fixture = Fixture::new(names, true);
            if old_is_directory {
                fs::create_dir(fixture.output().path).unwrap();
                fs::write(fixture.output().path.join("part-00007.parquet"), "old").unwrap();
            } else {
                fs::write(fixture.output().path, "old").unwrap();
            }
            check_output(&fixture.output(), &[]).unwrap();
            let task = fixture.task(&fixture.stage());
            task.publish().unwrap();
            assert!(task.stands_already());
            assert_eq!(fixture.entries(), ["out"]);
        }
    }
}

#[test]
fn a_directory_of_other_things_is_never_replaced() {
    for names in SHAPES {
        let fixture = Fixture::new(names, true);
        fs::create_dir(fixture.output().path).unwrap();
        fs::write(fixture.output().path.join("thesis.tex"), "years of work").unwrap();
        let refused = check_output(&fixture.output(), &[]).unwrap_err().message;
        assert!(refused.contains("out: is a directory that holds") && refused.contains("thesis.tex"), "{refused}");
    }
}

#[test]
fn a_kill_after_the_old_output_left_is_mended() {
    let fixture = Fixture::new(SHAPES[1], true);
    fs::create_dir(fixture.output().path).unwrap();
    let task = fixture.task(&fixture.stage());
    fs::rename(fixture.output().path, task.replaced_path()).unwrap();
    task.publish().unwrap();
    assert_eq!(fixture.entries(), ["out"]);
}

#[test]
fn the_staging_of_a_failed_job_is_removed() {
    for names in SHAPES {
        let fixture = Fixture::new(names, false);
        fixture.stage();
        remove_staging(&fixture.output(), Path::new("/job")).unwrap();
        assert!(fixture.entries().is_empty());
    }
}

#[test]
fn an_output_without_a_place_is_refused() {
    let fixture = Fixture::new(&[""], false);
    let output = OutputPlan { path: fixture.dir.path().join("missing/out"), force: false, beside: vec![] };
    assert!(check_output(&output, &[]).unwrap_err().message.contains("does not exist"));
    let root = OutputPlan { path: PathBuf::from("/"), force: true, beside: vec![] };
    assert!(check_output(&root, &[]).is_err());
}

#[test]
fn what_stands_beside_an_output_is_published_with_it() {
    let fixture = Fixture::new(&[""], false);
    let plan = OutputPlan { beside: vec![fixture.dir.path().join("table")], ..fixture.output() };
    let stage = |output: OutputPlan| {
        let staging = output.staging_path(Path::new("/job"));
        files::write_atomically(&staging, output.path.as_os_str().as_encoded_bytes()).unwrap();
        PublishTask { files: vec![stage_file("", &staging, 1).unwrap()], staging, output }
    };
    let mut tasks: Vec<PublishTask> = plan.each().map(stage).collect();
    let main = tasks.pop().unwrap();
    assert_eq!(main.output.path, plan.path);
    let all = PublishAllTask { beside: tasks, main, facts: vec![] };
    // Killed between the two, it runs again.
    all.beside[0].publish().unwrap();
    assert_eq!(fixture.entries().last().unwrap(), "table");
    for _ in 0..2 {
        all.run(ItemRange::one(0), &mut ItemOutputs::default()).unwrap();
        assert_eq!(fixture.entries(), ["out", "table"]);
    }
    // What a job that failed has staged goes, both of it.
    plan.each().for_each(|output| drop(stage(output)));
    assert_eq!(fixture.entries().len(), 4);
    remove_staging(&plan, Path::new("/job")).unwrap();
    assert_eq!(fixture.entries(), ["out", "table"]);
    assert!(check_output(&plan, &[]).unwrap_err().message.contains("table: exists already"));
}

#[test]
fn no_output_takes_the_place_of_an_input() {
    let fixture = Fixture::new(&[""], true);
    let root = fixture.dir.path();
    fs::create_dir_all(root.join("tables/empty")).unwrap();
    let table = root.join("tables/t.csv");
    fs::write(&table, "a\n1\n").unwrap();
    std::os::unix::fs::symlink(&table, root.join("link.csv")).unwrap();
    std::os::unix::fs::symlink(root.join("tables"), root.join("link")).unwrap();
    let refusal = |path: &str, input: &str| {
        let output = OutputPlan { path: root.join(path), force: true, beside: vec![] };
        let inputs = [InputIdentity::of(&root.join(input)).unwrap()];
        let told = [
            check_output(&output, &inputs),
            check_output(&OutputPlan { path: root.join("new"), beside: vec![output.path.clone()], ..output }, &inputs),
        ];
        let [alone, beside] = told.map(|told| told.map_or_else(|refusal| refusal.message, |()| String::new()));
        assert_eq!(alone, beside, "files beside the output are no exception");
        alone
    };
    for place in ["tables/t.csv", "tables/../tables/t.csv", "link/t.csv", "link.csv"] {
        for input in ["tables/t.csv", "link/../tables/t.csv", "link.csv"] {
            let sentence = refusal(place, input);
            assert!(sentence.contains(&format!("{place}: is an input of this job")), "{place} for {input}: {sentence}");
        }
    }
    // A directory that is replaced goes with all that is in it.
    assert!(refusal("tables", "link.csv").contains("link.csv, an input of this job"));
    assert!(refusal("link", "tables/t.csv").contains("t.csv, an input of this job"));
    for place in ["tables/u.csv", "tables/empty", "u.csv"] {
        assert_eq!(refusal(place, "tables/t.csv"), "");
    }
}
