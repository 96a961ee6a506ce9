"""Peak memory of one model: a process of its own loads it, hears the clips, and says how large it grew.

The high-water mark of a process never sinks, so that two arms in one process could not be told apart.
"""

from __future__ import annotations

import os
import pickle
import re
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from forgetbench.engine.hearing import Clip, hear
from forgetbench.models.component import Component
from forgetbench.models.load import load
from forgetbench.schema.run import LoadSettings

_ANSWER = "forgetbench peak memory: {} bytes"


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the process has to do: one model and its clips."""

    component: Component
    settings: LoadSettings
    clips: Sequence[Clip]


def peak_memory_bytes(job: Job) -> int | None:
    """Return the peak memory of a fresh process that does the job; None where the process fails.

    On CUDA it is that of the device, by torch's allocator (not tried: the project has no such machine).
    """
    done = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import main; main()"],
        # The job goes from one process of this run to another, never through a file.
        input=pickle.dumps(job),
        capture_output=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONSAFEPATH": "1"},
        check=False,
    )
    found = re.search(_ANSWER.format(r"(\d+)"), done.stdout.decode(errors="replace"))
    return int(found[1]) if found else None


def main() -> None:
    """Do the job on stdin and write the peak to stdout."""
    job: Job = pickle.loads(sys.stdin.buffer.read())
    model = load(job.component, job.settings)
    for clip in job.clips:
        hear(model, clip)
    peak = _device_peak_bytes() if job.settings.device.startswith("cuda") else process_peak_bytes()
    sys.stdout.write("\n" + _ANSWER.format(peak) + "\n")


def process_peak_bytes() -> int:
    """Return the peak resident memory of this process.

    On Linux ``ru_maxrss`` starts at the size of the process that started this one; ``VmHWM`` does not.
    """
    status = Path("/proc/self/status")
    if status.is_file() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return 1024 * int(found[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _device_peak_bytes() -> int:
    import torch

    return int(torch.cuda.max_memory_allocated())
