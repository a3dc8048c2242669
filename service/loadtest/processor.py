"""What a process and the machine have computed, from Linux' /proc; None elsewhere."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


def main_thread_s(pid: int) -> float | None:
    """Returns the seconds that a process' main thread, its event loop, has computed."""
    try:
        fields = (_PROC / f"{pid}/task/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # user and system


def machine_s() -> tuple[float, float] | None:
    """Returns the seconds that the machine's cores were busy and could have been, since boot."""
    try:
        line = (_PROC / "stat").read_text().partition("\n")[0]
    except OSError:
        return None
    user, nice, system, idle, iowait, *others = map(int, line.split()[1:9])
    ticks = os.sysconf("SC_CLK_TCK")
    busy = user + nice + system + sum(others)
    return busy / ticks, (busy + idle + iowait) / ticks


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine on which something was measured."""

    processor: str
    cores: int
    memory_gb: float | None
    system: str
    python: str

    @classmethod
    def this(cls) -> "Machine":
        """Returns what is known of this machine; its cores are those that this process may use."""
        names = _lines("cpuinfo", "model name")
        memory = _lines("meminfo", "MemTotal")
        return cls(
            processor=names[0] if names else platform.machine(),
            cores=len(os.sched_getaffinity(0)),
            memory_gb=round(int(memory[0].split()[0]) / 2**20, 1) if memory else None,
            system=f"{platform.system()} {platform.release()}",
            python=platform.python_version(),
        )


def _lines(file: str, name: str) -> list[str]:
    try:
        lines = (_PROC / file).read_text().splitlines()
    except OSError:
        return []
    return [line.partition(":")[2].strip() for line in lines if line.startswith(name)]
