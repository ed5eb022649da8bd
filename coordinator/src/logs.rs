//! Log lines of jobs and agents on the disk: one file for each job, in order of arrival, so that few files stand on the shared
//! filesystem and a reader needs one offset. Written by a thread of its own, so that a slow disk holds up no decision.

use crate::config::{LOG_QUEUE_LEN, MAX_AGENT_LOG_BYTES, MAX_LOG_BYTES_PER_JOB};
use paceline_common::ids::JobId;
use paceline_common::view::{LogPage, MAX_LOG_LINES_PER_PAGE, StoredLogLine};
use paceline_wire::cluster_dir::ClusterDir;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Bytes of one page, so that an answer stays far below the frame limit.
const MAX_PAGE_BYTES: usize = 2 << 20;

/// Lines of one report, with the job that they belong to; `None` for an agent's own.
pub(crate) type LogLines = Vec<(Option<JobId>, StoredLogLine)>;

/// The way to the thread that writes.
#[derive(Debug)]
pub(crate) struct LogStore {
    queue: Option<SyncSender<LogLines>>,
    writer: Option<JoinHandle<()>>,
    dropped: DropCounts,
}

/// Lines lost, by job.
#[derive(Clone, Debug, Default)]
pub(crate) struct DropCounts {
    by_job: Arc<Mutex<HashMap<JobId, u64>>>,
}

impl DropCounts {
    /// Adds lines that were lost.
    pub(crate) fn add(&self, job: JobId, n_lines: u64) {
        *self.by_job.lock().unwrap_or_else(PoisonError::into_inner).entry(job).or_default() += n_lines;
    }

    fn of(&self, job: JobId) -> u64 {
        self.by_job.lock().unwrap_or_else(PoisonError::into_inner).get(&job).copied().unwrap_or(0)
    }
}

impl LogStore {
    /// Starts the thread.
    pub(crate) fn start(dir: &ClusterDir) -> io::Result<Self> {
        let (queue, lines) = sync_channel(LOG_QUEUE_LEN);
        let dropped = DropCounts::default();
        let writer = Writer { dir: dir.clone(), dropped: dropped.clone(), has_warned: false };
        let writer = std::thread::Builder::new().name("paceline-logs".to_owned()).spawn(move || writer.run(&lines))?;
        Ok(Self { queue: Some(queue), writer: Some(writer), dropped })
    }

    /// Hands lines to the writer; `false` where its queue is full, and the agent shall send them again.
    pub(crate) fn store(&self, lines: LogLines) -> bool {
        self.queue.as_ref().is_some_and(|queue| queue.try_send(lines).is_ok())
    }

    /// The counts of lost lines.
    pub(crate) fn dropped(&self) -> DropCounts {
        self.dropped.clone()
    }
}

impl Drop for LogStore {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has lost log lines, no work.
            let _ = writer.join();
        }
    }
}

struct Writer {
    dir: ClusterDir,
    dropped: DropCounts,
    has_warned: bool,
}

impl Writer {
    fn run(mut self, queue: &Receiver<LogLines>) {
        while let Ok(lines) = queue.recv() {
            let mut by_job: HashMap<Option<JobId>, Vec<StoredLogLine>> = HashMap::new();
            lines.into_iter().for_each(|(job, line)| by_job.entry(job).or_default().push(line));
            for (job, lines) in by_job {
                if let Err(error) = self.append(job, &lines) {
                    self.count_lost(job, lines.len() as u64, &error);
                }
            }
        }
    }

    fn append(&self, job: Option<JobId>, lines: &[StoredLogLine]) -> io::Result<()> {
        let path = match job {
            Some(job) => job_log_path(&self.dir, job),
            None => self.agent_log()?,
        };
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        let mut len = file.metadata()?.len();
        let mut text = Vec::new();
        for line in lines {
            let before = text.len();
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
            len += (text.len() - before) as u64;
            if let Some(job) = job
                && len > MAX_LOG_BYTES_PER_JOB
            {
                text.truncate(before);
                self.dropped.add(job, 1);
            }
        }
        file.write_all(&text)
    }

    /// The agents' own log; once it is full it becomes the one before, and a new one is begun.
    fn agent_log(&self) -> io::Result<PathBuf> {
        let path = self.dir.agent_log_path();
        if std::fs::metadata(&path).is_ok_and(|facts| facts.len() > MAX_AGENT_LOG_BYTES) {
            std::fs::rename(&path, path.with_extension("before.jsonl"))?;
        }
        Ok(path)
    }

    fn count_lost(&mut self, job: Option<JobId>, n_lines: u64, error: &io::Error) {
        if let Some(job) = job {
            self.dropped.add(job, n_lines);
        }
        if !self.has_warned {
            self.has_warned = true;
            tracing::warn!(%error, "log lines of agents cannot be stored; they are counted as dropped");
        }
    }
}

fn job_log_path(dir: &ClusterDir, job: JobId) -> PathBuf {
    dir.job_dir(job).logs_path().join("log.jsonl")
}

/// Reads a page of a job's log from `offset`, which a page before has named. A torn last line is left for the next page.
pub(crate) fn read_page(dir: &ClusterDir, job: JobId, offset: u64, is_over: bool, dropped: &DropCounts) -> io::Result<LogPage> {
    let mut page = LogPage { lines: Vec::new(), next_offset: offset, is_last: is_over, n_dropped: dropped.of(job) };
    let Some(mut reader) = open_at(&job_log_path(dir, job), offset)? else { return Ok(page) };
    let mut text = Vec::new();
    loop {
        text.clear();
        let n_bytes = reader.read_until(b'\n', &mut text)?;
        if n_bytes == 0 || text.last() != Some(&b'\n') {
            return Ok(page);
        }
        page.next_offset += n_bytes as u64;
        // An offset that no page has named may fall within a line; what is no whole line is passed over.
        if let Ok(line) = serde_json::from_slice(&text) {
            page.lines.push(line);
        }
        if page.lines.len() == MAX_LOG_LINES_PER_PAGE || page.next_offset - offset >= MAX_PAGE_BYTES as u64 {
            page.is_last = false;
            return Ok(page);
        }
    }
}

fn open_at(path: &Path, offset: u64) -> io::Result<Option<BufReader<File>>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    file.seek(SeekFrom::Start(offset))?;
    Ok(Some(BufReader::new(file)))
}
