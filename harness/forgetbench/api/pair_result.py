"""What the API returns: a result with tidy tables, and a collection of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, overload

from forgetbench.api.tables import group_table, row_table, samples_of_task
from forgetbench.engine.curve_results import training_of_run
from forgetbench.engine.results import Result
from forgetbench.schema.comparison import Decision

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class PairResult(Result):
    """A checkpoint measured against its base, or alone where it has none.

    Attributes:
        directory: Where its documents and sample records are.
        checkpoint: Run document of the checkpoint's arm.
        base: Run document of the base's arm, or None.
        comparison: The comparison of both, or None without a base.
        attribution: Which component of a system its loss comes from, where its components were swapped.
    """

    @classmethod
    def of(cls, result: Result) -> PairResult:
        """Return a result of the engine as one of the API."""
        return cls(**{field.name: getattr(result, field.name) for field in fields(result)})

    @property
    def decision(self) -> Decision | None:
        """``SHIP``, ``DO NOT SHIP`` or ``NEED MORE``; None without a base."""
        return self.comparison.decision if self.comparison else None

    @property
    def summary(self) -> str:
        """The last line of the verdict table; empty without a base."""
        return self.comparison.summary if self.comparison else ""

    @property
    def rows(self) -> pd.DataFrame:
        """The verdict table: one line per row, then (``detail`` true) the tasks inside suite rows.

        The columns are the fields of :class:`~forgetbench.schema.comparison.Row`; ``degradation`` is
        positive where the checkpoint is worse. What is missing is NaN.
        """
        return row_table(self)

    @property
    def groups(self) -> pd.DataFrame:
        """Each task by speaker, accent, condition …: one line per group, ``by`` names the grouping."""
        return group_table(self)

    def samples(self, task: str) -> pd.DataFrame:
        """Return the records of one task, both arms side by side.

        Args:
            task: Its name.

        Returns:
            One line per sample: ``id, condition, input, reference``, ``group.<name>``, and for each arm
            ``answer`` (text or likeliest choice), ``error`` and the statistics, with ``_base`` or
            ``_checkpoint`` at the end of the name.

        Raises:
            UsageError: There is no such task here.
            ForgetbenchError: The records are not those of the document.
        """
        return samples_of_task(self, task)

    def _repr_html_(self) -> str:
        from forgetbench.api.html import result_html

        return result_html(self)

    def __repr__(self) -> str:
        """Return names and decision on one line."""
        against = f" against {self.base.checkpoint.name}" if self.base else ""
        said = f": {self.summary}" if self.summary else ""
        return f"<PairResult {self.checkpoint.checkpoint.name}{against}{said}>"


class Results(Sequence[PairResult]):
    """Several results, in order.

    Args:
        results: The results.
    """

    def __init__(self, results: Iterable[PairResult]) -> None:
        self._results = tuple(results)

    @overload
    def __getitem__(self, index: int) -> PairResult: ...
    @overload
    def __getitem__(self, index: slice) -> Results: ...
    def __getitem__(self, index: int | slice) -> PairResult | Results:
        """Return one result, or the collection of a slice."""
        return Results(self._results[index]) if isinstance(index, slice) else self._results[index]

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._results)

    def __iter__(self) -> Iterator[PairResult]:
        """Iterate over the results."""
        return iter(self._results)

    @property
    def rows(self) -> pd.DataFrame:
        """The verdict tables one below the other, each line with what it is about.

        Before the columns of :attr:`PairResult.rows` stand ``checkpoint_name, checkpoint_fingerprint,
        base_name, steps`` (of training, where known), ``decision`` and ``directory``.
        """
        import pandas as pd

        tables = []
        for result in self._results:
            table = result.rows
            for position, (name, value) in enumerate(_about(result).items()):
                table.insert(position, name, value)
            tables.append(table)
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()

    def _repr_html_(self) -> str:
        from forgetbench.api.html import results_html

        return results_html(self)

    def __repr__(self) -> str:
        """Return how many there are."""
        return f"<Results: {len(self)}>"


def _about(result: PairResult) -> dict[str, Any]:
    steps = training_of_run(result.checkpoint).steps
    return {
        "checkpoint_name": result.checkpoint.checkpoint.name,
        "checkpoint_fingerprint": result.checkpoint.checkpoint.fingerprint,
        "base_name": result.base.checkpoint.name if result.base else None,
        "steps": float("nan") if steps is None else steps,
        "decision": result.decision,
        "directory": str(result.directory),
    }
