"""``ForgettingCallback``: what a training loses, measured while it runs."""

from __future__ import annotations

import inspect
import logging
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from forgetbench.api.evaluate import evaluate, make_request
from forgetbench.api.pair_result import PairResult, Results
from forgetbench.engine.run import select_tasks
from forgetbench.errors import UsageError, did_you_mean
from forgetbench.tracking.active_run import log_to_active_run

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "scored"
"""Below the trainer's ``output_dir``: where a state lies while it is scored."""
log = logging.getLogger(__name__)


class ForgettingCallback(TrainerCallback):  # type: ignore[misc, unused-ignore]  # transformers is untyped here
    """Scores a small suite every few steps of a transformers ``Trainer``, against the base.

    At each look the weights (or the adapter) are saved below ``output_dir``, scored as ``forgetbench run``
    would, and removed; the results stay. The base is scored once. Random states are put back, so that the
    training is the same with and without the callback. Degradations go to the MLflow run that is active, at
    the training's step. A look that fails is a warning: the training goes on.

    The intervals hold for each look; over many looks a false alarm is likelier. With several processes the
    first one scores and the others wait; sharded weights (FSDP, DeepSpeed) cannot be scored so.

    Args:
        tasks: Suites, task names or globs, best small ones: ``"retention-mini"``.
        every_steps: Optimiser steps between two looks.
        stop_when_regressed: End the training at a look where a row of the role ``general`` has ``regressed``.
        processor: Saved beside the weights, in place of the trainer's ``processing_class``.
        **options: As for :func:`forgetbench.evaluate`, such as ``base``, ``limit``, ``device``, ``output``.
            The device is the CPU unless one is given, wherever the training runs.

    Raises:
        UsageError: A task or an option is not known, a value is wrong, or ``every_steps`` is no positive
            number.
        DataError: The data of ``target`` is broken.

    Example:
        >>> watch = forgetbench.ForgettingCallback(
        ...     "retention-mini", every_steps=100, limit=50, stop_when_regressed=True
        ... )  # doctest: +SKIP
        >>> Trainer(model=model, processing_class=tokenizer, callbacks=[watch], ...)  # doctest: +SKIP
    """

    def __init__(
        self,
        tasks: str | list[str],
        *,
        every_steps: int,
        stop_when_regressed: bool = False,
        processor: Any = None,
        **options: Any,
    ) -> None:
        if not isinstance(every_steps, int) or every_steps < 1:
            raise UsageError(f"every_steps={every_steps}", "is no positive number", "Such as 100.")
        _check(tasks, options)
        self.every_steps = every_steps
        self.stop_when_regressed = stop_when_regressed
        self._processor = processor
        self._options = {"tasks": tasks, **options}
        self._looks: list[tuple[int, PairResult]] = []

    @property
    def results(self) -> Results:
        """What was found, look by look."""
        return Results(result for _, result in self._looks)

    @property
    def rows(self) -> pd.DataFrame:
        """The verdict tables of all looks, one below the other; the first column is ``step``."""
        import pandas as pd

        tables = [result.rows.assign(step=step) for step, result in self._looks]
        if not tables:
            return pd.DataFrame()
        table = pd.concat(tables, ignore_index=True)
        return table[["step", *table.columns.drop("step")]]

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Find the base and what is saved beside the weights.

        Raises:
            UsageError: There is no base, no processing class, or the weights are sharded.
        """
        if getattr(args, "fsdp", None) or getattr(args, "deepspeed", None):
            raise UsageError(
                "ForgettingCallback",
                "cannot score sharded weights (FSDP, DeepSpeed)",
                "Score the saved checkpoints: forgetbench run --model 'out/checkpoint-*'.",
            )
        self._processor = self._processor or kwargs.get("processing_class")
        if self._processor is None:
            raise UsageError(
                "ForgettingCallback",
                "has no tokenizer or processor to save beside the weights",
                "Give Trainer(processing_class=…) or ForgettingCallback(processor=…).",
            )
        if self._options.get("base") is None:
            self._options["base"] = _origin(kwargs["model"])

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Score the model as it is now, if it is time to."""
        if state.global_step % self.every_steps:
            return
        stop = False
        if state.is_world_process_zero:
            stop = self._look(args, state, kwargs["model"])
        if _agreed(stop):
            control.should_training_stop = True

    def _look(self, args: Any, state: Any, model: Any) -> bool:
        """Score the model; say whether the training is to stop."""
        folder = Path(args.output_dir) / FOLDER / f"checkpoint-{state.global_step}"
        try:
            with _same_random_states():
                result = self._score(folder, state, model)
        except Exception as error:  # the training is worth more than a look at it
            cause = " ".join(str(error).split()) or type(error).__name__
            log.warning("step %d was not scored: %s", state.global_step, cause)
            return False
        finally:
            shutil.rmtree(folder.parent, ignore_errors=True)
        self._looks.append((state.global_step, result))
        log_to_active_run(result.comparison, step=state.global_step)
        log.info("step %d: %s", state.global_step, result.summary)
        regressed = _regressed(result) if self.stop_when_regressed else []
        if regressed:
            log.warning("training stops at step %d: %s regressed", state.global_step, ", ".join(regressed))
        return bool(regressed)

    def _score(self, folder: Path, state: Any, model: Any) -> PairResult:
        folder.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(folder)
        self._processor.save_pretrained(folder)
        state.save_to_json(str(folder / "trainer_state.json"))
        return evaluate(folder, **self._options)


def _check(tasks: str | list[str], options: dict[str, Any]) -> None:
    """Fail where :func:`evaluate` would at every look, whatever the model is.

    Raises:
        UsageError: A task or an option is not known, or a value is wrong.
        DataError: The data of ``target`` is broken.
    """
    signature = inspect.signature(evaluate)
    known = [name for name in signature.parameters if name not in ("model", "tasks")]
    if unknown := sorted(set(options) - set(known)):
        way_out = did_you_mean(unknown[0], known, f"Options: {', '.join(known)}.")
        raise UsageError(f"option {unknown[0]}", "is not known", way_out)
    bound = signature.bind("", tasks=tasks, **options)
    bound.apply_defaults()
    del bound.arguments["progress"]
    select_tasks(make_request(**bound.arguments))


def _origin(model: Any) -> str | None:
    """Return what a model was loaded from; None for an adapter, whose own configuration says it."""
    if hasattr(model, "peft_config"):
        return None
    name = getattr(model, "name_or_path", "")
    if not name:
        raise UsageError(
            "ForgettingCallback", "does not know what the model was before training", "Give base=…."
        )
    return str(name)


def _regressed(result: PairResult) -> list[str]:
    rows = result.comparison.rows if result.comparison else ()
    return [row.title for row in rows if row.role == "general" and row.verdict == "regressed"]


def _agreed(stop: bool) -> bool:
    """Return what the first process decided, in all of them."""
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_initialized()):
        return stop
    decision = [stop]
    dist.broadcast_object_list(decision, src=0)
    return decision[0]


@contextmanager
def _same_random_states() -> Iterator[None]:
    """Leave the random states of Python, numpy and torch as they were."""
    import numpy as np
    import torch

    python, numbers = random.getstate(), np.random.get_state()
    devices = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numbers)
