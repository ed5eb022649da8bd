"""Runs a command and says what it took: time on the wall and on the processors, and memory. It must not know what the command does."""

import os
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

SAMPLE_SECONDS = 0.05


@dataclass
class Measured:
    """What one process took, with the children that it waited for."""

    stdout: str
    wall_s: float
    cpu_s: float
    # The peak of what was resident in it and its children, mapped files included; what they share counts for each of them.
    peak_mb: float
    # The same without mapped files.
    peak_anonymous_mb: float


def run(command: list, environment: dict | None = None) -> Measured:
    """Runs it to its end; a failure ends the measurement, with what the command said."""
    begin = time.perf_counter()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=os.environ | (environment or {}))  # fmt: skip
    sampler = MemorySampler(process.pid)
    errors = Reader(process.stderr)
    stdout = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - begin
    # Popen must not wait for a process that has been waited for.
    process.returncode = os.waitstatus_to_exitcode(status)
    sampler.stop()
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}: exit code {process.returncode}\n{errors.text()}")
    # The kernel's own figure is that of the largest process, and misses no moment.
    peak_mb = max(usage.ru_maxrss / 1024, sampler.peak_mb)
    return Measured(stdout, wall_s, usage.ru_utime + usage.ru_stime, peak_mb, sampler.peak_anonymous_mb)


class Reader(threading.Thread):
    """Empties a pipe, so that it never blocks its writer."""

    def __init__(self, pipe) -> None:
        super().__init__(daemon=True)
        self.pipe, self.read = pipe, ""
        self.start()

    def run(self) -> None:
        self.read = self.pipe.read()

    def text(self) -> str:
        self.join()
        return self.read


class MemorySampler(threading.Thread):
    """Looks at a process and its children twenty times a second. The counters cost them nothing, unlike those that divide shared pages."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.peak_mb, self.peak_anonymous_mb, self.ended = pid, 0.0, 0.0, threading.Event()
        self.start()

    def run(self) -> None:
        while not self.ended.wait(SAMPLE_SECONDS):
            resident_mb, anonymous_mb = memory_mb(self.pid)
            self.peak_mb = max(self.peak_mb, resident_mb)
            self.peak_anonymous_mb = max(self.peak_anonymous_mb, anonymous_mb)

    def stop(self) -> None:
        self.ended.set()
        self.join()


def memory_mb(pid: int) -> tuple[float, float]:
    """Resident and anonymous memory of a process and its descendants; what has ended has none."""
    try:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        resident_mb, anonymous_mb = (int(status[key].split()[0]) / 1024 for key in ("VmRSS", "RssAnon"))
        children = [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]
    except (OSError, KeyError):
        return 0.0, 0.0
    of_children = [memory_mb(child) for child in children]
    return resident_mb + sum(mb for mb, _ in of_children), anonymous_mb + sum(mb for _, mb in of_children)
