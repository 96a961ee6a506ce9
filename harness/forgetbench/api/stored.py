"""``forgetbench.compare`` and ``forgetbench.load_results``: runs that exist already."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path

from forgetbench.api.pair_result import PairResult, Results
from forgetbench.engine.compare import compare_runs
from forgetbench.engine.results import results_in

Name = str | PathLike[str]


def compare(
    base: Name,
    checkpoint: Name,
    *,
    roles: Mapping[str, str] | None = None,
    margins: Mapping[str, float] | None = None,
    output: Name = "results",
) -> PairResult:
    """Compare two runs that exist already, of forgetbench or of lm-eval.

    Args:
        base: Result directory or run document (of a result directory, its checkpoint), or a folder of plain
            lm-eval output.
        checkpoint: The same of the other arm.
        roles: Role by suite, task name or glob, in place of the run's.
        margins: Largest acceptable loss by suite, task name or glob, in the primary metric's units.
        output: Folder of the results.

    Raises:
        UsageError: Something is no result, both are the same run, or a name matches nothing.
        DataError: A file of lm-eval is damaged.
    """
    return PairResult.of(
        compare_runs(Path(base), Path(checkpoint), output=Path(output), roles=roles, margins=margins)
    )


def load_results(*places: Name) -> Results:
    """Read every result in or below some directories.

    Args:
        *places: Result directories, or folders that are searched; without any, ``results``.

    Returns:
        The results, each once, in the order of their paths.

    Raises:
        UsageError: A place holds no result, or a document is damaged.
    """
    return Results(map(PairResult.of, results_in(map(Path, places or ("results",)))))
