//! The text of `paceline help`: commands in groups, three examples, where to read on. The groups take each command's own words, so
//! nothing is said twice. It must not parse anything.

use super::Cli;
use clap::{Command, CommandFactory};
use std::fmt::Write;

/// The commands as a newcomer meets them. A test holds that every visible command stands in exactly one group.
const GROUPS: &[(&str, &[&str])] = &[
    ("On this machine", &["run"]),
    ("On a cluster", &["coordinator", "agent", "agents", "submit"]),
    ("Jobs", &["jobs", "job", "progress", "logs"]),
    ("More", &["model", "completions", "man", "help"]),
];

const EXAMPLES: &str = "\
Examples:
  On a laptop: train a forest, then predict with it
    paceline run forest train --data train.csv --target label --out forest.safetensors
    paceline run forest predict --model forest.safetensors --data new.csv --out predictions.csv

  On a cluster: a coordinator once, an agent on every node, then any number of jobs
    paceline coordinator start &
    paceline agent start &
    paceline submit recommend --model factors.safetensors --out top.parquet --progress

  What became of it
    paceline job show last
    paceline job explain last

Workloads are forest train, forest predict, als train, knn train, popular train, bias train, recommend, score,
split and evaluate;
`paceline run forest train --help` lists the flags of one of them.

Jobs are named by number: 3, 1-3,5, last or all. Durations are written 90s or 1h 30m, sizes 4GiB.

Exit codes: 0 all items committed, 1 the job failed or has failed items, 2 usage or bad input,
3 coordinator not reachable, 4 cancelled, 130 interrupted.

`paceline help COMMAND` tells more of each command, and `paceline man DIR` writes man pages.
docs/command-line.md describes it all.";

/// The whole command tree with its help.
#[must_use]
pub fn command() -> Command {
    let cli = Cli::command();
    // The groups stand in place of clap's own flat list.
    let template = format!("{{about}}\n\n{{usage-heading}} {{usage}}\n\n{}Options:\n{{options}}{{after-help}}\n", grouped(&cli));
    cli.help_template(template).after_help(EXAMPLES)
}

fn grouped(cli: &Command) -> String {
    let mut text = String::new();
    for (heading, names) in GROUPS {
        let _ = writeln!(text, "{heading}:");
        for name in *names {
            let about = cli.find_subcommand(name).and_then(Command::get_about).map(ToString::to_string);
            let about = about.unwrap_or_else(|| "Tell of a command: paceline help submit".to_owned());
            let _ = writeln!(text, "  {name:<12} {about}");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_visible_command_stands_in_one_group() {
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| *names).copied().filter(|name| *name != "help").collect();
        let cli = Cli::command();
        let mut visible: Vec<&str> = cli.get_subcommands().filter(|c| !c.is_hide_set()).map(Command::get_name).collect();
        grouped.sort_unstable();
        visible.sort_unstable();
        assert_eq!(grouped, visible);
    }

    fn every_visible_command(command: &Command, visit: &mut impl FnMut(&Command)) {
        visit(command);
        command.get_subcommands().filter(|c| !c.is_hide_set()).for_each(|c| every_visible_command(c, visit));
    }

    #[test]
    fn every_command_and_flag_says_what_it_is_for() {
        every_visible_command(&command(), &mut |command| {
            assert!(command.get_about().is_some(), "{} has no help", command.get_name());
            for arg in command.get_arguments() {
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.len() >= 20, "{} of {}: its help is too short: {help:?}", arg.get_id(), command.get_name());
            }
        });
    }
}
