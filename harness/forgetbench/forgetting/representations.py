"""How far an encoder's layers have moved: linear CKA between the arms, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from forgetbench.forgetting.answers import parse
from forgetbench.forgetting.cka import linear_cka
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
        yield RepresentationDrift(
            task=pair.task.name,
            title=pair.task.title,
            n=len(both),
            cka=tuple(linear_cka(base[:, layer], checkpoint[:, layer]) for layer in range(base.shape[1])),
        )


def _embedding(cell: object) -> Embedding | None:
    # Most tables have none: the text is looked at before it is parsed.
    if not isinstance(cell, str) or '"embedding"' not in cell:
        return None
    prediction = parse(cell)
    return prediction.embedding if prediction is not None else None
