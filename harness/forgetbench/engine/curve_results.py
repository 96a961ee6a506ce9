"""Result directories become the checkpoints of one curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from forgetbench.engine.results import Result, results_in
from forgetbench.errors import UsageError
from forgetbench.forgetting.curve import Trained, exposure_of, make_curve
from forgetbench.models.training_record import steps_in_name
from forgetbench.schema.curve import Curve, Training
from forgetbench.schema.invalid import first_invalid
from forgetbench.schema.run import RunDocument

TRAINING = "training"
"""Key in a run document's ``measured`` block."""


def find_results(places: Sequence[Path]) -> list[Result]:
    """Return the results in or below directories that compare a checkpoint with another base, each once.

    Raises:
        UsageError: A place holds no result, or a document is damaged.
    """
    return [result for result in results_in(places) if _is_pair(result)]


def _is_pair(result: Result) -> bool:
    compared = result.comparison
    return compared is not None and compared.base.fingerprint != compared.checkpoint.fingerprint


def read_curve(path: Path) -> Curve:
    """Read the document that ``forgetbench curves`` wrote.

    Raises:
        UsageError: It cannot be read or is no curve.
    """
    try:
        return Curve.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(str(path), error.strerror or "cannot be read", "Give a curve.json.") from None
    except ValidationError as error:
        first = first_invalid(error)
        thing = f"{path}, key `{first.key}`"
        raise UsageError(thing, first.cause, "Give a curve.json of `forgetbench curves`.") from None


def curve_of(
    results: Sequence[Result],
    table: Mapping[str, Training] | None = None,
    *,
    seed: int = 0,
    reproduce: str = "",
) -> Curve:
    """Return the curve of results.

    Args:
        results: Compared with one base, measured alike.
        table: What a user says of the checkpoints, by name or fingerprint; it goes before their own files.
        seed: Of fits and resampling.
        reproduce: The command that makes the curve again.

    Raises:
        UsageError: There is one checkpoint only, they do not belong together, a row of the table fits none of
            them or several, or it is not known how long they were trained.
    """
    _check_together(results)
    checkpoints = trained_checkpoints(results, table)
    exposure = exposure_of([checkpoint.training for checkpoint in checkpoints])
    if exposure is None:
        raise UsageError(*_unknown_exposure(checkpoints))
    curve = make_curve(checkpoints, exposure=exposure, seed=seed)
    return curve.model_copy(update={"reproduce": reproduce})


def trained_checkpoints(
    results: Sequence[Result], table: Mapping[str, Training] | None = None
) -> list[Trained]:
    """Return how the checkpoint of each result was trained, as far as its run or a user's table says.

    Args:
        results: Each with a comparison.
        table: By name or fingerprint; it goes before what the run noted.

    Raises:
        UsageError: A row of the table fits none of them, or several.
    """
    rows = _rows_by_fingerprint(results, table or {})
    return [_trained(result, rows) for result in results]


def _check_together(results: Sequence[Result]) -> None:
    compared = [result.comparison for result in results if result.comparison is not None]
    if len(compared) < 2:
        raise UsageError(
            f"{len(compared)} checkpoint{'s' if not compared else ''}",
            "are no curve: it takes at least two that were compared with their base",
            "Measure more: forgetbench run --model 'out/checkpoint-*' …",
        )
    bases = {c.base.fingerprint: c.base.name for c in compared}
    if len(bases) > 1:
        named = " and ".join(f"{name} {fingerprint[:12]}" for fingerprint, name in sorted(bases.items())[:2])
        raise UsageError("results", f"have different bases ({named})", "Name those of one base.")
    keys = sorted({c.run_key for c in compared})
    if len(keys) > 1:
        cause = f"were measured differently: tasks, limit or settings (run keys {', '.join(keys[:3])})"
        raise UsageError("results", cause, "Name the directories of one run key.")
    prints = [c.checkpoint.fingerprint for c in compared]
    if twice := next((c for c in compared if prints.count(c.checkpoint.fingerprint) > 1), None):
        raise UsageError(f"{twice.checkpoint.name}", "is there twice", "Name its result once.")


def _rows_by_fingerprint(results: Sequence[Result], table: Mapping[str, Training]) -> dict[str, Training]:
    infos = [result.comparison.checkpoint for result in results if result.comparison is not None]
    rows: dict[str, Training] = {}
    for key, training in table.items():
        fitting = [i for i in infos if i.name == key or (len(key) >= 6 and i.fingerprint.startswith(key))]
        if len(fitting) != 1:
            cause = "is the name of several results" if fitting else "is none of the results"
            known = ", ".join(f"{i.name} {i.fingerprint[:12]}" for i in (fitting or infos)[:4])
            raise UsageError(f"checkpoint {key} of the table", cause, f"Use the fingerprint: {known}.")
        rows[fitting[0].fingerprint] = training
    return rows


def _trained(result: Result, rows: Mapping[str, Training]) -> Trained:
    assert result.comparison is not None
    info = result.comparison.checkpoint
    known = training_of_run(result.checkpoint)
    if known.steps is None and (steps := steps_in_name(info.name)) is not None:
        known = known.model_copy(update={"steps": steps})
    if (row := rows.get(info.fingerprint)) is not None:
        known = known.model_copy(update=row.model_dump(exclude_none=True))
    return Trained(comparison=result.comparison, training=known)


def training_of_run(run: RunDocument) -> Training:
    """Return what the run noted of the checkpoint's training; nothing where it noted none."""
    try:
        return Training.model_validate(run.measured.get(TRAINING) or {})
    except ValidationError:
        return Training()


def _unknown_exposure(checkpoints: Sequence[Trained]) -> tuple[str, str, str]:
    unknown = [c.comparison.checkpoint.name for c in checkpoints if c.training.steps is None]
    way_out = "Give --training FILE.csv with the columns checkpoint and steps."
    if unknown:
        return f"checkpoint {unknown[0]}", "its files do not say after how many steps it was saved", way_out
    return "checkpoints", "all have the same number of steps", way_out
