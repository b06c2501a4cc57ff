"""What processes have used of the processor, as the operating system accounts for it, and what the rest was doing."""

import os
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress

import psutil

Spent = dict[str, float]


def spent(roots: Mapping[str, int]) -> Spent:
    """Seconds of processor time of each root with all it started, living and ended; but for other roots below it."""
    others, below = {*roots.values()}, _children()
    return {name: sum(map(_seconds, _tree(pid, others, below))) for name, pid in roots.items()}


def _children() -> Mapping[int, Sequence[psutil.Process]]:
    """Whom each process has started, of all of the machine: psutil's own `children` reads them all for each parent."""
    found: dict[int, list[psutil.Process]] = {}
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess):
            found.setdefault(process.ppid(), []).append(process)
    return found


def _tree(pid: int, others: Container[int], below: Mapping[int, Sequence[psutil.Process]]) -> list[psutil.Process]:
    """A process and its descendants, without those of the others."""
    found: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        waiting = [psutil.Process(pid)]
        while waiting:
            found.append(waiting.pop())
            waiting += [child for child in below.get(found[-1].pid, ()) if child.pid not in others]
    return found


def _seconds(process: psutil.Process) -> float:
    """Its own time and that of its children that have ended and were waited for."""
    with suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)
    return 0.0


def machine_times() -> Spent:
    """Seconds of all processors together: at work for anybody, idle, and taken by the host."""
    times = psutil.cpu_times()
    idle, steal = times.idle + getattr(times, "iowait", 0.0), getattr(times, "steal", 0.0)
    busy = times.user + times.system + times.nice + getattr(times, "irq", 0.0) + getattr(times, "softirq", 0.0)
    return {"busy": busy, "idle": idle, "steal": steal}


def noise(machine: Spent, ours: float) -> dict[str, float]:
    """Shares of the machine during a run: idle, taken by the host, and at work for processes that are not ours."""
    whole = sum(machine.values()) or 1.0
    shares = {"idle": machine["idle"], "steal": machine["steal"], "others": max(0.0, machine["busy"] - ours)}
    return {name: round(seconds / whole, 3) for name, seconds in shares.items()}


def facts() -> dict[str, object]:
    """The machine as it is before a run."""
    return {
        "cpus": os.cpu_count(),
        "model": _model(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def _model() -> str | None:
    with suppress(OSError), open("/proc/cpuinfo") as lines:  # noqa: PTH123 -- a file of the kernel, read line by line
        return next((line.split(": ", 1)[1].strip() for line in lines if line.startswith("model name")), None)
    return None
