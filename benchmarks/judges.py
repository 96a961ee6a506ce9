"""The text judges against human labels: XSTest answers of two models, and two sets of the project's own.

The patterns of ``refusal@1`` were written on the XSTest answers to every second prompt type in alphabetical
order, on the project's answers to a random half of the prompts, and on those of SmolLM2 ("seen"). How it
judged the others ("held out") was never read, only counted. Full refusal is the positive class of precision,
recall and F1; κ is Cohen's, over the four classes. Intervals are 95 %: Wilson for precision and recall,
bootstrap over prompts for F1, asymptotic for κ.

    python benchmarks/judges.py [--counts] [--json]

The labels are ``text/xstest_human_*.jsonl`` of FORGETBENCH_TEST_DATA, else of ``../shared/data``, and
``tests/data/refusal_answers*.jsonl``.
``--counts`` prints the confusion counts that ``forgetting/judge_counts.py`` ships.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from inputs import data_folder
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint

from forgetbench.forgetting.paired import PairedEstimate
from forgetbench.forgetting.paired_ratio import paired_ratio
from forgetbench.metrics.judges import TEXT_JUDGES

SETS = ("llama2orig", "mistralinstruct")
OWN = {"ours": "refusal_answers.jsonl", "smollm2": "refusal_answers_smollm2.jsonl"}
GROUPS = (*((name,) for name in SETS), SETS, *((name,) for name in OWN))
TESTS = Path(__file__).resolve().parents[1] / "tests" / "data"
HALVES = ("seen", "held out", "all")
CLASSES = {"1_full_compliance": "complied", "2_full_refusal": "refused", "3_partial_refusal": "partial"}
ORDER = (*CLASSES.values(), "degenerate")
DRAWS = 2_000
SEED = 20


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """One answer, its human class, and what each judge says."""

    set: str
    prompt_id: str
    seen: bool
    human: str
    said: dict[str, str]


def read_labelled(folder: Path) -> list[Labelled]:
    """Read both sets and judge every answer."""
    rows = [
        (name, json.loads(line))
        for name in SETS
        for line in (folder / f"text/xstest_human_{name}.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    seen = sorted({row["type"] for _, row in rows})[1::2]
    return [
        Labelled(
            set=name,
            prompt_id=row["id"],
            seen=row["type"] in seen,
            human=CLASSES[row["human_label"]],
            said={judge: say(row["prompt"], row["completion"]) for judge, say in TEXT_JUDGES.items()},
        )
        for name, row in rows
    ]


def read_own() -> list[Labelled]:
    """Read the answers written for the project, and those of SmolLM2-135M-Instruct labelled for it."""
    rows = [
        (name, json.loads(line))
        for name, file in OWN.items()
        for line in (TESTS / file).read_text(encoding="utf-8").splitlines()
    ]
    return [
        Labelled(
            set=name,
            prompt_id=row["prompt"],
            seen=name == "smollm2" or _is_even(row["prompt"]),
            human=row["label"],
            said={judge: say(row["prompt"], row["answer"]) for judge, say in TEXT_JUDGES.items()},
        )
        for name, row in rows
    ]


def _is_even(text: str) -> bool:
    return hashlib.sha256(text.encode()).digest()[-1] % 2 == 0


def part(rows: Sequence[Labelled], sets: Sequence[str], half: str) -> list[Labelled]:
    """Return the answers of some sets and one half of the prompt types."""
    return [row for row in rows if row.set in sets and (half == "all" or row.seen == (half == "seen"))]


def f1_terms(rows: Sequence[Labelled], judge: str) -> tuple[list[float], list[float]]:
    """Return numerator and denominator of F1 per answer: 2·TP and 2·TP + FP + FN."""
    truth = np.array([row.human == "refused" for row in rows])
    said = np.array([row.said[judge] == "refused" for row in rows])
    return list(2.0 * (truth & said)), list(1.0 * truth + said)


def f1_difference(rows: Sequence[Labelled], judge: str, other: str) -> PairedEstimate:
    """Compare the F1 of two judges on the same answers, by paired bootstrap over prompts."""
    ids = [row.prompt_id for row in rows]
    terms = (*f1_terms(rows, other), *f1_terms(rows, judge))
    return paired_ratio(*terms, clusters=ids, higher_is_better=True, draws=DRAWS, seed=SEED)


def figures(rows: Sequence[Labelled], judge: str) -> dict[str, tuple[float, float, float]]:
    """Return precision, recall, F1 and κ, each with its interval."""
    hits = sum(row.human == row.said[judge] == "refused" for row in rows)
    said = sum(row.said[judge] == "refused" for row in rows)
    true = sum(row.human == "refused" for row in rows)
    low, high = _bootstrap_f1(rows, judge)
    kappa = cohens_kappa(_confusion(rows, judge))
    return {
        "precision": (hits / max(said, 1), *proportion_confint(hits, max(said, 1), method="wilson")),
        "recall": (hits / true, *proportion_confint(hits, true, method="wilson")),
        "F1": (2 * hits / (said + true), low, high),
        "κ": (float(kappa.kappa), float(kappa.kappa_low), float(kappa.kappa_upp)),
    }


def _bootstrap_f1(rows: Sequence[Labelled], judge: str) -> tuple[float, float]:
    ids, codes = np.unique([row.prompt_id for row in rows], return_inverse=True)
    sums = np.zeros((len(ids), 2))
    np.add.at(sums, codes, np.column_stack(f1_terms(rows, judge)))
    drawn = np.random.default_rng(SEED).multinomial(len(ids), np.full(len(ids), 1 / len(ids)), DRAWS) @ sums
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    return float(low), float(high)


def _confusion(rows: Sequence[Labelled], judge: str) -> np.ndarray:
    """Human class by judge's class: complied, refused, partial, degenerate."""
    found = Counter((row.human, row.said[judge]) for row in rows)
    return np.array([[found[human, said] for said in ORDER] for human in ORDER])


def lines(rows: Sequence[Labelled]) -> Iterator[dict[str, Any]]:
    """Yield the table: one line per judge, set and half."""
    for judge in TEXT_JUDGES:
        for sets in GROUPS:
            for half in HALVES:
                chosen = part(rows, sets, half)
                if not chosen or (half == "all" and sets == ("smollm2",)):
                    continue
                yield {"judge": judge, "set": " + ".join(sets), "types": half, "n": len(chosen)} | figures(
                    chosen, judge
                )


def main() -> int:
    """Print the tables; fails where ``refusal@1`` does not beat ``xstest_strmatch`` on the held-out types."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--counts", action="store_true")
    asked = arguments.parse_args()
    rows = [*read_labelled(data_folder()), *read_own()]
    if asked.counts:
        for judge in TEXT_JUDGES:
            for name in SETS:
                counts = _confusion(part(rows, (name,), "held out"), judge)
                print(f"{judge} {name} {counts.tolist()}")
        return 0
    table = list(lines(rows))
    differences = {
        (" + ".join(sets), half): f1_difference(part(rows, sets, half), "refusal@1", "xstest_strmatch")
        for sets in GROUPS
        for half in HALVES
        if part(rows, sets, half) and (half, sets) != ("all", ("smollm2",))
    }
    if asked.json:
        print(json.dumps(table, ensure_ascii=False))
        return 0
    print("| judge | answers of | prompts | n | precision | recall | F1 | κ |")
    print(f"|---|---|---|--:{'|---' * 4}|")
    for line in table:
        shown = [_with_interval(line[key]) for key in ("precision", "recall", "F1", "κ")]
        print(f"| `{line['judge']}` | {line['set']} | {line['types']} | {line['n']} | {' | '.join(shown)} |")
    print("\n| answers of | prompts | F1 of `refusal@1` − F1 of `xstest_strmatch` | p |\n|---|---|---|--:|")
    for (sets, half), found in differences.items():
        assert found.delta is not None and found.ci_low is not None and found.ci_high is not None
        interval = (found.delta, -found.ci_high, -found.ci_low)
        print(f"| {sets} | {half} | {_with_interval(interval)} | {found.p:.4f} |")
    worst = differences[" + ".join(SETS), "held out"].ci_high
    return 0 if worst is not None and worst < 0 else 1


def _with_interval(figure: tuple[float, float, float]) -> str:
    value, low, high = (f"{number:.3f}".replace("0.", ".", 1) for number in figure)
    return f"{value} [{low}, {high}]"


if __name__ == "__main__":
    sys.exit(main())
