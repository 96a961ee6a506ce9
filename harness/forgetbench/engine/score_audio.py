"""Scoring what enhancers returned: over processes, and each output once."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from forgetbench.data.audio import resample
from forgetbench.data.samples import Sample
from forgetbench.engine.audio_store import get
from forgetbench.engine.journal import Answer, ScoreJournal
from forgetbench.engine.plan import PlannedTask
from forgetbench.engine.processes import Outcome, attempt, available_cores, over_processes
from forgetbench.engine.progress import Progress
from forgetbench.engine.score import SCORING_ERROR, Scored
from forgetbench.metrics.enhancement import SCORING_VERSION, enhancement_stats
from forgetbench.schema.sample import AudioFile
from forgetbench.schema.task import Enhancement

WORTH_PROCESSES_S = 5.0
"""Seconds of scoring that must be left for new processes, which import scipy first, to save time."""
LONGEST_IN_PROCESS_S = 20.0
"""PESQ's C code writes beyond its tables at the 51st utterance of a recording, which ends the process. No
recording of this length holds so many: an utterance and the pause after it take 0.4 s or more."""

Statistics = dict[str, float]


def score_audio(
    planned: PlannedTask, answers: Sequence[Answer], *, predictions: Path, seed: int, progress: Progress
) -> list[Scored]:
    """Return the scores of every answer, in order; those that the journal has are not computed again.

    Args:
        planned: An enhancement task.
        answers: One for each of its samples.
        predictions: The journal of the answers; that of their scores lies beside it.
        seed: Of the run.
        progress: Told of every score.
    """
    task = planned.task
    assert isinstance(task, Enhancement)
    scored = [Scored(error=answer.error) for answer in answers]
    with ScoreJournal.open(_scores_path(predictions, task, seed)) as journal:
        wanted = {
            position: (sample, answer.prediction.audio)
            for position, (sample, answer) in enumerate(zip(planned.samples, answers, strict=True))
            if answer.prediction is not None and answer.prediction.audio is not None
        }
        missing = [p for p, (sample, audio) in wanted.items() if _key(sample, audio) not in journal.scores]
        if missing:
            progress.begin(f"{task.title}: scoring", len(wanted), len(wanted) - len(missing))
            for position, outcome in _outcomes(planned, task, [wanted[p] for p in missing], seed):
                sample, audio = wanted[missing[position]]
                scored[missing[position]] = _taken(outcome, sample, task, progress)
                if outcome.value is not None:
                    journal.write(_key(sample, audio), outcome.value)
                progress.advance(1)
            progress.end()
        for position, (sample, audio) in wanted.items():
            if (stats := journal.scores.get(_key(sample, audio))) is not None:
                scored[position] = Scored(stats={**stats})
    return scored


def _taken(outcome: Outcome, sample: Sample, task: Enhancement, progress: Progress) -> Scored:
    if outcome.failure is not None:
        progress.say(f"{task.name}, sample {sample.id}, scoring: {outcome.failure}")
        return Scored(error=SCORING_ERROR)
    return Scored(error=outcome.code)


def _outcomes(
    planned: PlannedTask, task: Enhancement, outputs: Sequence[tuple[Sample, AudioFile]], seed: int
) -> Iterator[tuple[int, Outcome]]:
    """Yield the position in ``outputs`` and the outcome of each: made here where that is quick."""
    positions: list[int] = []
    unprepared: list[tuple[int, Outcome]] = []

    def prepared() -> Iterator[partial[Statistics]]:
        for position, (sample, audio) in enumerate(outputs):
            outcome = attempt(partial(_call, planned, task, sample, audio, seed))
            if outcome.value is None:
                unprepared.append((position, outcome))
            else:
                positions.append(position)
                yield outcome.value

    calls, pace = prepared(), Pace()
    for number, call in enumerate(calls):
        left = len(outputs) - number
        is_long = len(call.args[0]) > LONGEST_IN_PROCESS_S * task.sampling_rate
        if is_long or (available_cores() > 1 and pace.forecast_s(left) > WORTH_PROCESSES_S):
            processes = min(available_cores(), left)
            with closing(over_processes(chain([call], calls), processes=processes)) as outcomes:
                for further, outcome in outcomes:
                    yield positions[number + further], outcome
        else:
            yield positions[number], pace.timed(call)
    yield from unprepared


@dataclass
class Pace:
    """How long calls take; the first one's time is not typical, for it imports what all of them need."""

    n: int = 0
    last_s: float = 0.0

    def timed(self, call: Callable[[], Statistics]) -> Outcome:
        """Make a call."""
        start = time.perf_counter()
        outcome = attempt(call)
        self.n, self.last_s = self.n + 1, time.perf_counter() - start
        return outcome

    def forecast_s(self, n: int) -> float:
        """Return how long ``n`` more will take, by the last; as if one, while only one is known."""
        return self.last_s * (n if self.n > 1 else 1)


def _call(
    planned: PlannedTask, task: Enhancement, sample: Sample, audio: AudioFile, seed: int
) -> partial[Statistics]:
    """Return the call that scores one output, with all that it needs.

    Raises:
        SampleError: The recording or its clean reference cannot be used, or the stored output is lost.
    """
    assert planned.speech is not None
    rate, condition = task.sampling_rate, sample.condition
    output = get(audio)
    return partial(
        enhancement_stats,
        planned.speech.clean(sample.id),
        planned.speech.waveform(sample.id, condition, rate),
        resample(output.samples, output.sampling_rate, rate) if output.samples.size else output.samples,
        sampling_rate=rate,
        metrics=task.metrics,
        seed=int.from_bytes(hashlib.sha256(f"{seed}\x1f{sample.content}".encode()).digest()[:4]),
        audiogram=planned.speech.audiogram(condition),
        amplification=condition.amplification if condition else None,
    )


def _scores_path(predictions: Path, task: Enhancement, seed: int) -> Path:
    """Return the journal for scores: its name holds all that decides them beside sample and output."""
    decides = json.dumps([SCORING_VERSION, sorted(task.metrics), task.sampling_rate, seed])
    digest = hashlib.sha256(decides.encode()).hexdigest()[:16]
    return predictions.with_name(f"{predictions.stem}.scores-{digest}.jsonl")


def _key(sample: Sample, audio: AudioFile) -> str:
    return f"{sample.content} {audio.sha256}"
