"""False alarms, coverage, power and family-wise rate of the statistics, on pairs of a known truth.

Every figure comes from the functions that judge a run. A binary score depends on its counts alone, so each
table of counts is computed once; the word error bootstrap takes 1 000 draws in place of 10 000.

    python benchmarks/validity.py [--pairs 10000] [--seed 0] [--processes N] [--quick] [--json]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from forgetbench.forgetting.family import simultaneous_level
from forgetbench.forgetting.matched_gain import PlanePoint, at_matched_gain
from forgetbench.forgetting.paired import PairedEstimate, paired_binary, paired_mean
from forgetbench.forgetting.power import binary_sd, mean_sd, required_n
from forgetbench.forgetting.seed_rows import over_seeds
from forgetbench.forgetting.suite_row import mean_of_members
from forgetbench.forgetting.word_errors import paired_word_errors

LEVEL = 0.95
DRAWS = 1_000
QUICK_PAIRS = 500
UNBOUNDED = (0.0, 1.0)
ALARMS = (0.0, 0.055)
COVERAGE = (0.94, 0.96)
AT_LEAST = (0.94, 1.0)
POWER = (0.77, 0.83)
UTTERANCE_WORDS = 14
LOOP_WORDS = 137
"""Mean lengths of what :class:`Speech` draws."""

Rng = np.random.Generator
Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Draw = Callable[[Rng], PairedEstimate]


@dataclasses.dataclass(frozen=True)
class Cell:
    """One rate over simulated pairs.

    Attributes:
        pairs: Pairs simulated.
        rate: Share of them.
        low: Smallest rate that is accepted, before simulation error.
        high: Largest.
    """

    figure: str
    setting: str
    pairs: int
    rate: float
    low: float
    high: float

    @property
    def error(self) -> float:
        """Two standard errors of the simulation."""
        return 2.0 * math.sqrt(max(self.rate * (1.0 - self.rate), 1e-4) / self.pairs)

    @property
    def stated(self) -> bool:
        """Nothing is asked of the rate."""
        return (self.low, self.high) == UNBOUNDED

    @property
    def holds(self) -> bool:
        """The rate lies within what is accepted, up to simulation error."""
        return self.low - self.error <= self.rate <= self.high + self.error


@dataclasses.dataclass(frozen=True)
class Study:
    """Pairs from one truth, and which of their rates are reported.

    Attributes:
        setting: What is simulated.
        draw: Makes one pair and compares it.
        truth: True degradation.
        wanted: Accepted range of each figure.
        times: How many times as many pairs as asked for: where a pair costs nothing.
    """

    setting: str
    draw: Draw
    truth: float
    wanted: dict[str, tuple[float, float]]
    times: int = 1


def covers(found: PairedEstimate, truth: float) -> bool:
    """Tell whether the interval holds the truth."""
    return found.ci_low is not None and found.ci_high is not None and found.ci_low <= truth <= found.ci_high


FIGURES: dict[str, Callable[[PairedEstimate, float], bool]] = {
    "false alarms, p": lambda found, _: (found.p or 0.0) <= 1.0 - found.level,
    "false alarms, exact p": lambda found, _: (found.p_exact or 0.0) <= 1.0 - found.level,
    "false alarms, interval": lambda found, _: not covers(found, 0.0),
    "coverage": covers,
    "power": lambda found, _: not covers(found, 0.0),
}


@cache
def binary_of(n10: int, n01: int, n: int, level: float) -> PairedEstimate:
    """Compare two arms with these counts; what does not flip is right in both."""
    base, checkpoint = np.ones(n), np.ones(n)
    checkpoint[:n10] = 0.0
    base[n10 : n10 + n01] = 0.0
    return paired_binary(base, checkpoint, higher_is_better=True, level=level)


def binary(n: int, flips: float, loss: float = 0.0, level: float = LEVEL) -> Draw:
    """Independent answers, of which a share flips."""
    shares = [(flips + loss) / 2.0, (flips - loss) / 2.0, 1.0 - flips]

    def draw(rng: Rng) -> PairedEstimate:
        n10, n01, _ = rng.multinomial(n, shares)
        return binary_of(int(n10), int(n01), n, level)

    return draw


def names(sizes: Counts) -> list[str]:
    """Return the cluster of each sample."""
    return np.repeat([f"c{i:03d}" for i in range(len(sizes))], sizes).tolist()


def clustered_binary(clusters: int, size: int, flips: float, alike: float, loss: float = 0.0) -> Draw:
    """Answers of which a share copies the change of its cluster: intraclass correlation ``alike``²."""
    sizes = np.full(clusters, size)
    label, codes = names(sizes), np.repeat(np.arange(clusters), sizes)
    shares = [(flips + loss) / 2.0, (flips - loss) / 2.0, 1.0 - flips]

    def draw(rng: Rng) -> PairedEstimate:
        own, common = rng.choice([1, -1, 0], len(codes), p=shares), rng.choice([1, -1, 0], clusters, p=shares)
        change = np.where(rng.random(len(codes)) < alike, common[codes], own)
        return paired_binary(change <= 0, change >= 0, higher_is_better=False, clusters=label)

    return draw


def mean(n: int, shape: str, loss: float = 0.0, repeats: int = 1, level: float = LEVEL) -> Draw:
    """Graded scores: ω² = 1/9 over samples, σ² = 1/6 over answers of one sample (Miller 2024)."""

    def draw(rng: Rng) -> PairedEstimate:
        difficulty = rng.normal(size=n)
        change = rng.normal(size=n) if shape == "normal" else rng.exponential(size=n) - 1.0
        noise = rng.normal(scale=math.sqrt(1 / 6 / repeats), size=(2, n))
        checkpoint = difficulty - loss - change / 3.0 + noise[1]
        return paired_mean(difficulty + noise[0], checkpoint, higher_is_better=True, level=level)

    return draw


def clustered_mean(clusters: int, sizes: str, level: float = LEVEL) -> Draw:
    """Graded scores of speakers; the change has an intraclass correlation of .3."""
    n_of = np.full(clusters, 12) if sizes == "equal" else np.resize([4, 8, 12, 16, 20], clusters)
    label, codes = names(n_of), np.repeat(np.arange(clusters), n_of)

    def draw(rng: Rng) -> PairedEstimate:
        change = rng.normal(scale=math.sqrt(0.3), size=clusters)[codes]
        change = change + rng.normal(scale=math.sqrt(0.7), size=len(codes))
        base = rng.normal(size=len(codes))
        return paired_mean(base, base + change, label, higher_is_better=True, level=level)

    return draw


@dataclasses.dataclass(frozen=True)
class Speech:
    """Utterances of 3 to 25 words; a tenth of the words is wrong, in some utterances a third, in some none.

    Attributes:
        utterances: Of each speaker; one number, or one after the other.
        speakers: 0 where each utterance is its own.
        factor: Error rate of the checkpoint over that of the base.
        spread: Standard deviation, over speakers, of the logarithm of that factor.
        loops: Share of outputs, of base and checkpoint, that loop for 50 to 224 words.
        loop_seen: Only pairs with such an output: what a sample without one cannot know is left out.
    """

    utterances: int | list[int]
    speakers: int = 0
    factor: float = 1.0
    spread: float = 0.3
    loops: tuple[float, float] = (0.0, 0.0)
    loop_seen: bool = False
    draws: int = DRAWS
    level: float = LEVEL

    @property
    def truth(self) -> float:
        """True difference of the two word error rates."""
        base, checkpoint = (
            (1.0 - share) * rate + share * LOOP_WORDS / UTTERANCE_WORDS
            for share, rate in zip(self.loops, (0.1, 0.1 * self.factor), strict=True)
        )
        return checkpoint - base

    def __call__(self, rng: Rng) -> PairedEstimate:
        """Make one pair and compare it."""
        speakers = max(self.speakers, 1)
        codes = np.repeat(np.arange(speakers), np.resize(self.utterances, speakers))
        n, words = len(codes), rng.integers(3, 26, len(codes))
        rates = 0.3 * rng.beta(1.0, 2.0, size=(2, n))
        by_speaker = np.ones(n)
        if self.speakers:
            by_speaker = np.exp(rng.normal(-(self.spread**2) / 2.0, self.spread, speakers))[codes]
        after = np.clip(self.factor * by_speaker * (rates[0] + rates[1]) / 2.0, 0.0, 1.0)
        errors = [rng.binomial(words, rates[0]), rng.binomial(words, after)]
        looping = [rng.random(n) < share for share in self.loops] if any(self.loops) else []
        for arm, broken in enumerate(looping):
            errors[arm][broken] = rng.integers(50, 225, broken.sum())
        if self.loop_seen and not np.any(looping):
            return self(rng)
        label = [f"s{code:03d}" for code in codes] if self.speakers else None
        seed = int(rng.integers(2**32))
        return paired_word_errors(*errors, words, label, draws=self.draws, seed=seed, level=self.level)


def seeds_of_a_method(
    count: int, spread: float, *, judged: int | None = None, n: int = 60, loss: float = 0.1
) -> Draw:
    """Graded scores of checkpoints that differ in their training seed; 60 samples alone spread by .05.

    The interval is compared with the method's true loss, also where only ``judged`` of them are there.
    """
    compare = partial(paired_mean, higher_is_better=True)

    def draw(rng: Rng) -> PairedEstimate:
        base, of_sample = rng.normal(size=n), rng.normal(scale=0.35, size=n)
        of_seed = rng.normal(scale=spread, size=count)[:judged, None]
        arms = base - loss - of_seed - of_sample - rng.normal(scale=0.15, size=(len(of_seed), n))
        by_seed = [compare(base, arm) for arm in arms]
        of_method = over_seeds(by_seed, level=LEVEL) if len(arms) > 1 else by_seed[0]
        assert of_method is not None
        return of_method

    return draw


def methods_at_equal_gain(seeds: int, spreads: tuple[float, float], loss: float = 0.1) -> Draw:
    """Two methods of as many runs each, of which the first forgets more; a run spreads by its seed."""

    def draw(rng: Rng) -> PairedEstimate:
        methods = [
            [
                [PlanePoint(gain=0.0, forgetting=0.0), PlanePoint(gain=1.0, forgetting=lost)]
                for lost in rng.normal(mean, spread, seeds)
            ]
            for mean, spread in zip((2.0 * loss, loss), spreads, strict=True)
        ]
        found = at_matched_gain(*methods, gain=1.0, level=LEVEL)
        return PairedEstimate(
            level=LEVEL,
            method="",
            n=seeds,
            degradation=found.difference,
            ci_low=found.low,
            ci_high=found.high,
        )

    return draw


def suite(*members: Draw, level: float = LEVEL) -> Draw:
    """One row over several tasks."""
    return lambda rng: mean_of_members([member(rng) for member in members], level=level)


def rows_of_a_family(k: int) -> list[Draw]:
    """Rows of every kind, none of which lost anything, at the level of a family of k."""
    level = simultaneous_level(0.05, k)
    rows: list[Draw] = [
        Speech(60, draws=400 * k, level=level),
        suite(binary(80, 0.1, level=level), binary(60, 0.15, level=level), level=level),
    ]
    quick: list[Draw] = [
        binary(300, 0.1, level=level),
        mean(100, "skewed", level=level),
        clustered_mean(12, "unequal", level=level),
        binary(100, 0.2, level=level),
    ]
    return rows + [quick[i % len(quick)] for i in range(k - len(rows))]


def false_alarm_in_family(k: int) -> Draw:
    """Return the row of a family whose interval lies furthest from zero, relative to its half-width."""
    rows = rows_of_a_family(k)

    def surprise(found: PairedEstimate) -> float:
        if found.ci_low is None or found.ci_high is None:
            return 0.0
        return abs(found.ci_low + found.ci_high) / max(found.ci_high - found.ci_low, 1e-12)

    return lambda rng: max((row(rng) for row in rows), key=surprise)


TEST = {"false alarms, p": ALARMS, "false alarms, interval": ALARMS}
MID_P = {"false alarms, p": (0.040, 0.055), "false alarms, exact p": (0.0, 0.05)}
T_INTERVAL = TEST | {"coverage": COVERAGE}


def studies() -> Iterator[Study]:
    """Yield what is simulated, in the order of the table."""
    few = {"false alarms, p": ALARMS, "false alarms, exact p": (0.0, 0.05), "false alarms, interval": ALARMS}
    many = 10
    yield Study("binary, n 50, 5 % flip", binary(50, 0.05), 0.0, few | {"coverage": AT_LEAST}, many)
    for n, flips in ((100, 0.2), (300, 0.1), (1000, 0.1), (1000, 0.3)):
        name = f"binary, n {n}, {100 * flips:g} % flip"
        bounds = MID_P | {"false alarms, interval": ALARMS, "coverage": COVERAGE}
        yield Study(name, binary(n, flips), 0.0, bounds, many)
    for n, flips, loss in ((100, 0.2, 0.1), (300, 0.1, 0.03), (1000, 0.15, 0.05)):
        name = f"binary, n {n}, {100 * flips:g} % flip, {100 * loss:g} points lost"
        yield Study(name, binary(n, flips, loss), loss, {"coverage": COVERAGE}, many)
    for clusters, size in ((4, 20), (10, 12), (30, 8), (60, 3)):
        name = f"binary, {clusters} passages of {size}, 20 % flip"
        bounds = (
            dict.fromkeys(TEST | {"coverage": ()}, UNBOUNDED)
            if clusters < 10
            else TEST | {"coverage": AT_LEAST}
        )
        yield Study(name, clustered_binary(clusters, size, 0.2, 0.5), 0.0, bounds)
    for n in (20, 100, 500):
        for shape in ("normal", "skewed"):
            yield Study(f"mean, n {n}, {shape}", mean(n, shape), 0.0, T_INTERVAL)
    for clusters in (4, 10, 30):
        for sizes in ("equal", "unequal"):
            name = f"mean, {clusters} speakers, {sizes} sizes"
            bounds = dict.fromkeys(T_INTERVAL, UNBOUNDED) if clusters < 10 else T_INTERVAL
            yield Study(name, clustered_mean(clusters, sizes), 0.0, bounds)
    for n in (20, 50, 100):
        yield Study(f"WER, {n} utterances", Speech(n), 0.0, TEST | {"coverage": COVERAGE})
    lost = Speech(50, factor=1.5)
    yield Study("WER, 50 utterances, 5 points lost", lost, lost.truth, {"coverage": COVERAGE})
    for speakers in (4, 10, 30):
        bounds = dict.fromkeys(T_INTERVAL, UNBOUNDED) if speakers < 10 else T_INTERVAL
        yield Study(f"WER, {speakers} speakers of 8", Speech(8, speakers), 0.0, bounds)
    for speakers in (10, 30):
        uneven = Speech([4, 6, 8, 10, 12], speakers)
        yield Study(f"WER, {speakers} speakers of 4 to 12", uneven, 0.0, T_INTERVAL)
    lost = Speech(8, 12, factor=1.5)
    yield Study("WER, 12 speakers of 8, 5 points lost", lost, lost.truth, {"coverage": COVERAGE})
    six = [binary(n, 0.1) for n in (98, 96, 88, 68, 66, 70)]
    yield Study("suite of 6 binary tasks", suite(*six), 0.0, T_INTERVAL)
    six = [binary(n, 0.1, 0.03) for n in (98, 96, 88, 68, 66, 70)]
    yield Study("suite of 6 binary tasks, 3 points lost", suite(*six), 0.03, {"coverage": COVERAGE})
    mixed = suite(binary(90, 0.1), binary(70, 0.1), mean(60, "normal"), Speech(60))
    yield Study("suite of 2 binary, mean and WER", mixed, 0.0, T_INTERVAL)
    for k in (5, 10):
        held = {"false alarms, interval": ALARMS}
        yield Study(f"family of {k} rows of every kind", false_alarm_in_family(k), 0.0, held)
    one = seeds_of_a_method(3, 0.05, judged=1)
    yield Study("1 seed that spreads by .05, its method", one, 0.1, {"coverage": UNBOUNDED})
    for spread in (0.02, 0.15):
        for count in (2, 3, 5):
            name = f"{count} seeds that spread by {spread:g}, their method"
            yield Study(name, seeds_of_a_method(count, spread), 0.1, {"coverage": AT_LEAST})
    yield from power_studies()
    yield from loop_studies()
    yield from equal_gain_studies()
    yield from few_flip_studies()


def power_studies() -> Iterator[Study]:
    """Yield pairs with as many samples as ``required_n`` says 80 % power needs."""
    for flips, loss, level in (
        (0.1, 0.03, LEVEL),
        (0.2, 0.05, LEVEL),
        (0.1, 0.03, simultaneous_level(0.05, 10)),
    ):
        n = required_n(binary_sd(flips, loss), loss, level=level)
        name = f"binary, {100 * loss:g} points of {100 * flips:g} % flips at {level:.3g}: n {n}"
        yield Study(name, binary(n, flips, loss, level), loss, {"power": POWER}, 10)
    for repeats in (1, 10):
        n = required_n(mean_sd(1 / 9, 1 / 6, repeats), 0.1)
        name = f"mean, loss .1, {repeats} answer{'s' if repeats > 1 else ''} each: n {n}"
        yield Study(name, mean(n, "normal", 0.1, repeats), 0.1, {"power": POWER})


def loop_studies() -> Iterator[Study]:
    """Yield pairs of which single outputs hold more errors than all the others."""
    for n in (50, 100, 200):
        some = Speech(n, loops=(0.0, 0.02))
        name = f"WER, {n} utterances, 2 % of the checkpoint's loop"
        yield Study(name, some, some.truth, {"coverage": UNBOUNDED})
        seen = dataclasses.replace(some, loop_seen=True)
        yield Study(f"{name}, one seen", seen, seen.truth, {"coverage": AT_LEAST})
        both = Speech(n, loops=(0.02, 0.02))
        yield Study(f"WER, {n} utterances, 2 % loop in either arm", both, 0.0, TEST)
    seen = Speech(8, 30, loops=(0.0, 0.02), loop_seen=True)
    name = "WER, 30 speakers of 8, 2 % of the checkpoint's loop, one seen"
    yield Study(name, seen, seen.truth, {"coverage": AT_LEAST})


def equal_gain_studies() -> Iterator[Study]:
    """Yield two methods where both have gained the same, of the same spread over seeds and of another."""
    for spreads in ((0.05, 0.05), (0.02, 0.1)):
        for seeds in (2, 3, 5):
            name = f"methods at equal gain, {seeds} seeds that spread by {spreads[0]:g} and {spreads[1]:g}"
            yield Study(name, methods_at_equal_gain(seeds, spreads), 0.1, {"coverage": AT_LEAST}, 4)


def few_flip_studies() -> Iterator[Study]:
    """Yield passages of which few flip, as a whole or answer by answer, and rows of such tasks."""
    for clusters, size, loss in ((30, 8, 0.02), (20, 20, 0.03), (10, 50, 0.05)):
        for alike, how in ((1.0, "as a whole"), (0.5, "half alike"), (0.0, "each by itself")):
            name = f"binary, {clusters} passages of {size}, {100 * loss:g} points lost, {how}"
            draw = clustered_binary(clusters, size, loss, alike, loss)
            yield Study(name, draw, loss, {"coverage": AT_LEAST})
    for count in (1, 2, 4):
        tasks = [clustered_binary(12, 5, 0.2, 0.5)] * count
        name = f"suite of {count} binary task{'s' if count > 1 else ''} of 12 passages of 5, 20 % flip"
        yield Study(name, suite(*tasks), 0.0, TEST | {"coverage": AT_LEAST})


def simulate(number: int, pairs: int, seed: int) -> list[Cell]:
    """Simulate one study and return its rates."""
    study = list(studies())[number]
    rng = np.random.default_rng([seed, number])
    drawn = pairs * study.times
    seen = dict.fromkeys(study.wanted, 0)
    for _ in range(drawn):
        found = study.draw(rng)
        for figure in seen:
            seen[figure] += FIGURES[figure](found, study.truth)
    return [
        Cell(figure, study.setting, drawn, seen[figure] / drawn, low, high)
        for figure, (low, high) in study.wanted.items()
    ]


def cells(pairs: int, seed: int, processes: int, progress: Progress) -> list[Cell]:
    """Simulate every study, in processes of their own, and return the rates in order."""
    planned = list(studies())
    whole = progress.add_task("settings", total=len(planned))
    found: list[Cell] = []
    with ProcessPoolExecutor(processes) as pool:
        for of_study in pool.map(partial(simulate, pairs=pairs, seed=seed), range(len(planned))):
            found += of_study
            progress.update(whole, advance=1, description=of_study[0].setting)
    return found


def table(found: list[Cell]) -> str:
    """Return the cells as a Markdown table."""
    lines = ["| setting | figure | rate | accepted | |", "|---|---|---|---|---|"]
    for cell in found:
        accepted = "stated" if cell.stated else f"{cell.low:.3f} to {cell.high:.3f}"
        mark = "" if cell.stated else ("holds" if cell.holds else "**does not hold**")
        lines.append(
            f"| {cell.setting} | {cell.figure} | {cell.rate:.4f} ± {cell.error:.4f} | {accepted} | {mark} |"
        )
    return "\n".join(lines)


def summary(found: list[Cell]) -> str:
    """Return how many of the rates that something is asked of hold."""
    asked = [cell for cell in found if not cell.stated]
    return f"{sum(cell.holds for cell in asked)} of {len(asked)} hold, {len(found) - len(asked)} are stated"


def main() -> None:
    """Simulate, print, and exit 1 where a rate is not accepted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=10_000, help="simulated pairs of each setting")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_PAIRS} pairs of each setting")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    pairs = QUICK_PAIRS if options.quick else options.pairs
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        found = cells(pairs, options.seed, options.processes, progress)
    failed = [cell for cell in found if not cell.holds]
    if options.json:
        print(json.dumps([dataclasses.asdict(cell) for cell in found], indent=2))
    else:
        print(table(found))
        print(f"\n{summary(found)}; seed {options.seed}, {pairs}+ pairs each")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
