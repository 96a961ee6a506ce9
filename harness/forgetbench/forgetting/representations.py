"""How far an encoder's layers have moved: linear CKA between the arms, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from forgetbench.forgetting.answers import parse
from forgetbench.forgetting.cka import FEWEST, linear_cka
from forgetbench.forgetting.match import ReadyPair
from forgetbench.schema.comparison import RepresentationDrift
from forgetbench.schema.sample import Embedding


def representation_drift(pairs: Iterable[ReadyPair]) -> Iterator[RepresentationDrift]:
    """Yield the CKA of each layer of base and checkpoint, over the joined samples of each probe task.

    Arms with different numbers of layers have none in common that could be compared.
    """
    for pair in pairs:
        table = pair.joined.pairs
        both = [
            (first, second)
            for b, c in zip(table["prediction_base"], table["prediction_checkpoint"], strict=True)
            if (first := _embedding(b)) is not None and (second := _embedding(c)) is not None
        ]
        if not both or {b.n_layers for b, _ in both} != {c.n_layers for _, c in both}:
            continue
        base, checkpoint = (np.stack([arms[i].layers() for arms in both]) for i in (0, 1))
        cka = tuple(linear_cka(base[:, layer], checkpoint[:, layer]) for layer in range(base.shape[1]))
        missing = [layer for layer, value in enumerate(cka) if value is None]
        yield RepresentationDrift(
            task=pair.task.name,
            title=pair.task.title,
            n=len(both),
            cka=cka,
            reason="; ".join(_reasons(base[:, missing], checkpoint[:, missing])) if missing else "",
        )


def _reasons(base: NDArray[np.float32], checkpoint: NDArray[np.float32]) -> Iterator[str]:
    """Say why layers have no CKA; features of shape (clips, those layers, width)."""
    n = len(base)
    if n < FEWEST:
        yield f"fewer than {FEWEST} clips"
        return
    finite = {
        arm: np.all(np.isfinite(features), axis=2)
        for arm, features in (("base", base), ("checkpoint", checkpoint))
    }
    for arm, of_arm in finite.items():
        if broken := n - int(np.all(of_arm, axis=1).sum()):
            yield f"the {arm}'s features of {broken} of {n} clips are not finite"
    if np.all(finite["base"] & finite["checkpoint"], axis=0).any():
        yield "features vary in no clip, or in one alone"


def _embedding(cell: object) -> Embedding | None:
    # Most tables have none: the text is looked at before it is parsed.
    if not isinstance(cell, str) or '"embedding"' not in cell:
        return None
    prediction = parse(cell)
    return prediction.embedding if prediction is not None else None
