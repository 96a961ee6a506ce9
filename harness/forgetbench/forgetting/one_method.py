"""Whether several checkpoints are training seeds of one method: only then do they speak of the method."""

from __future__ import annotations

from collections.abc import Sequence

from forgetbench.schema.curve import Training

_ALIKE = {
    "method": "methods",
    "hyperparameters": "hyperparameters",
    "steps": "steps",
    "lora_rank": "LoRA ranks",
    "trained_parameters": "trained parameters",
}
_TOLD = {"method": "method is", "steps": "steps are", "seed": "training seed is"}


def why_no_method(trainings: Sequence[Training]) -> str:
    """Return why checkpoints are not seeds of one method, empty where they are.

    Method, hyperparameters and steps must agree, as far as they are known, and the seeds must differ.

    Args:
        trainings: How each was trained.

    Example:
        >>> lora = Training(method="lora", steps=10, seed=0)
        >>> why_no_method([lora, lora.model_copy(update={"seed": 1})])
        ''
        >>> why_no_method([lora, lora.model_copy(update={"seed": 1, "steps": 320})])
        'their steps differ (10, 320)'
    """
    for name, words in _ALIKE.items():
        values = list(dict.fromkeys(getattr(training, name) for training in trainings))
        if len(values) > 1:
            shown = ", ".join("not known" if value is None else str(value) for value in values[:4])
            return f"their {words} differ ({shown})"
    for name, words in _TOLD.items():
        if any(getattr(training, name) is None for training in trainings):
            return f"their {words} not known"
    seeds = [training.seed for training in trainings]
    return "" if len(set(seeds)) == len(seeds) else "two of them have the same training seed"
