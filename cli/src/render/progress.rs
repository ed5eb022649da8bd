//! Progress while it happens: a bar on a terminal, plain lines elsewhere, or nothing. Everything goes to standard error, so that
//! standard output holds results only. It must not ask a coordinator.

use super::progress_line::{done_of_total, line, pace, stage};
use super::stream;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use paceline_common::view::{JobState, JobView};
use std::time::{Duration, Instant};

/// How often a bar moves: fast enough to look alive, slow enough to cost nothing.
const BAR_REFRESH: Duration = Duration::from_millis(200);
/// How often lines are considered: a new stage is told within this time.
const LINE_REFRESH: Duration = Duration::from_secs(1);
/// How often a line is written while nothing but the count changes: a night's log stays readable.
const LINE_INTERVAL: Duration = Duration::from_secs(30);
/// How long a silent watcher's question may be held: a coordinator answers earlier when the job is over.
const SILENT_REFRESH: Duration = Duration::from_secs(60);
/// How long a job may wait for agents before that is worth a word.
const AGENT_PATIENCE: Duration = Duration::from_secs(5);

/// Shows one job's progress.
#[derive(Debug)]
pub struct Progress {
    form: Form,
    begin: Instant,
    /// Since when nobody has been at work, while nobody is.
    alone_since: Option<Instant>,
    has_told_of_waiting: bool,
}

#[derive(Debug)]
enum Form {
    Silent,
    Lines(LineSchedule),
    Bar(ProgressBar),
}

impl Progress {
    /// Shows nothing.
    #[must_use]
    pub fn silent() -> Self {
        Self::with(Form::Silent)
    }

    /// A bar where standard error is a terminal, else lines.
    #[must_use]
    pub fn shown() -> Self {
        if !stream::errors_can_move() {
            return Self::with(Form::Lines(LineSchedule::default()));
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(style("{spinner} {prefix}  {msg}"));
        Self::with(Form::Bar(bar))
    }

    fn with(form: Form) -> Self {
        Self { form, begin: Instant::now(), alone_since: None, has_told_of_waiting: false }
    }

    /// How long to wait at most before the next [`Self::show`].
    #[must_use]
    pub fn refresh(&self) -> Duration {
        match self.form {
            Form::Silent => SILENT_REFRESH,
            Form::Lines(_) => LINE_REFRESH,
            Form::Bar(_) => BAR_REFRESH,
        }
    }

    /// Shows where the job stands now.
    pub fn show(&mut self, view: &JobView) {
        let elapsed = self.begin.elapsed();
        match &mut self.form {
            Form::Silent => return,
            Form::Lines(schedule) => {
                if schedule.is_due(view, elapsed) {
                    stream::tell(&line(view, elapsed));
                }
            }
            Form::Bar(bar) => draw(bar, view),
        }
        self.tell_of_waiting(view);
    }

    /// Says once that nobody has been at work for some time.
    fn tell_of_waiting(&mut self, view: &JobView) {
        if view.n_agents > 0 || view.state != JobState::Running || self.has_told_of_waiting {
            self.alone_since = None;
        } else if self.alone_since.get_or_insert_with(Instant::now).elapsed() >= AGENT_PATIENCE {
            self.has_told_of_waiting = true;
            self.note(&format!("no agent is at work on job {0}; `paceline job explain {0}` says why", view.job));
        }
    }

    /// Says something beside the progress, where any is shown.
    pub fn note(&self, text: &str) {
        match &self.form {
            Form::Silent => {}
            Form::Lines(_) => stream::tell(text),
            Form::Bar(bar) => bar.suspend(|| stream::tell(text)),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Form::Bar(bar) = &self.form {
            bar.finish_and_clear();
        }
    }
}

fn draw(bar: &ProgressBar, view: &JobView) {
    if let Some(n_items) = view.n_items.filter(|&n| n > 0) {
        if bar.length() != Some(n_items) {
            bar.set_length(n_items);
            bar.set_style(style("{prefix}  [{bar:30}] {percent:>3}%  {msg}"));
        }
        bar.set_position(view.n_committed);
    }
    bar.set_prefix(stage(view));
    bar.set_message(format!("{}  {}", done_of_total(view.n_committed, view.n_items), pace(view)));
    bar.tick();
}

/// The templates above are constants; should one be wrong, the default bar is shown.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

/// Decides when a plain line is due: at the first look, at each new stage, every [`LINE_INTERVAL`], and at the end.
#[derive(Debug, Default)]
struct LineSchedule {
    last: Option<(Duration, u32)>,
}

impl LineSchedule {
    fn is_due(&mut self, view: &JobView, elapsed: Duration) -> bool {
        let is_due = match self.last {
            None => true,
            Some((at, stage_idx)) => stage_idx != view.stage_idx || elapsed >= at + LINE_INTERVAL || view.state.is_over(),
        };
        if is_due {
            self.last = Some((elapsed, view.stage_idx));
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
    use super::super::progress_line::tests::running;
    use super::*;

    #[test]
    fn a_line_comes_every_half_minute_at_stages_and_at_the_end() {
        let mut schedule = LineSchedule::default();
        let mut due = |view: &JobView, second: u64| schedule.is_due(view, Duration::from_secs(second));
        assert!(due(&running(), 0));
        assert!(!due(&running(), 1));
        assert!(!due(&running(), 29));
        assert!(due(&running(), 30));
        assert!(!due(&running(), 59));
        let next_stage = JobView { stage_idx: 2, ..running() };
        assert!(due(&next_stage, 60));
        assert!(!due(&next_stage, 61));
        assert!(due(&JobView { state: JobState::Succeeded, stage_idx: 2, ..running() }, 62));
    }
}
