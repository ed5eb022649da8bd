"""A coordinator and agents on this machine, as three terminals would start them. It must not know what a job computes."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import measure

CLUSTER_PATIENCE_S = 60


class Cluster:
    """Gone when left. `agents` are numbers of cores; more can be started later."""

    def __init__(self, paceline: Path, directory: Path, agents: list) -> None:
        self.paceline, self.directory, self.agents, self.processes = paceline, directory, agents, []

    def __enter__(self) -> "Cluster":
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.start("coordinator", "start", "--listen", "127.0.0.1:0")
        for n_cores in self.agents:
            self.start("agent", "start", "--cores", n_cores)
        self.wait_for_agents()
        return self

    def __exit__(self, *_error: object) -> None:
        # Agents first: they say goodbye to a coordinator that is still there.
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            process.wait(CLUSTER_PATIENCE_S)

    def environment(self) -> dict:
        return {"PACELINE_CLUSTER": str(self.directory)}

    def start(self, *arguments: object) -> None:
        with (self.directory / "daemons.log").open("ab") as log:
            command = [str(part) for part in (self.paceline, *arguments)]
            self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | self.environment()))

    def ask(self, *arguments: object) -> dict | None:
        """What a command prints as JSON; nothing where it fails."""
        command = [str(part) for part in (self.paceline, *arguments, "--output", "json")]
        answer = subprocess.run(command, capture_output=True, env=os.environ | self.environment())
        return json.loads(answer.stdout) if answer.returncode == 0 else None

    def wait_for_agents(self) -> None:
        begin = time.monotonic()
        while time.monotonic() - begin < CLUSTER_PATIENCE_S:
            status = self.ask("coordinator", "status")
            if status is not None and status["n_agents"] == len(self.agents):
                return
            time.sleep(0.05)
        raise SystemExit(f"{self.directory}: no cluster after {CLUSTER_PATIENCE_S} s; see daemons.log there")

    def submit(self, *job: object) -> tuple[measure.Measured, dict]:
        """Waits for the end. The clock is that of the client; beside it what the coordinator knows of the job."""
        measured = measure.run([self.paceline, "submit", "--wait", *job], self.environment())
        return measured, self.ask("job", "show", "last")
