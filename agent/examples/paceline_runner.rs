//! The runner alone, as the tests of the agent start it; users have it as `paceline runner`.

fn main() -> std::process::ExitCode {
    paceline_agent::runner::main()
}
