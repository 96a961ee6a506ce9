"""Self-distillation by rewriting: the model says each reference in its own words before it learns them.

Yang et al. 2024, arXiv 2402.13669. TRL's ``sdft`` is another method: it learns from its own sampled answers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from forgetbench.recipes.base import Base
from forgetbench.recipes.written import Line, written_once
from forgetbench.schema.recipe import Recipe
from forgetbench.schema.run import LoadSettings

REWRITTEN = "rewritten.jsonl"
"""In the output directory: what was learned."""
_REQUEST = (
    "Below is a question together with a reference answer. Using the reference answer as a guide, write your "
    "own answer to the question.\n\nQuestion: {prompt}\n\nReference answer: {answer}"
)
_BATCH = 16
_SHORTEST = 0.2
"""Of the reference's words: a shorter answer has lost its content."""


def rewritten_rows(rows: Sequence[Line], recipe: Recipe, base: Base) -> list[dict[str, Any]]:
    """Return the rows with answers in the base's own words, and ``rewritten``: whether the model wrote it.

    As in the paper, an answer that does not keep what the reference says is not learned, the reference is:
    one that is empty, cut off, far shorter, or lacks a number of the reference.
    """

    def write() -> list[dict[str, Any]]:
        answers = _answers(rows, recipe, base)
        return [
            {"prompt": row["prompt"], "answer": kept or row["answer"], "rewritten": kept is not None}
            for row, kept in zip(rows, answers, strict=True)
        ]

    key = {"base": base.fingerprint, "request": _REQUEST, "rows": rows, "longest": recipe.max_new_tokens}
    return written_once("rewritten", key, write)


def _answers(rows: Sequence[Line], recipe: Recipe, base: Base) -> list[str | None]:
    from forgetbench.models.checkpoint import resolve
    from forgetbench.models.interface import GenerateRequest, TextModel
    from forgetbench.models.load import load

    model = load(resolve(str(base.path)).components["lm"], LoadSettings())
    assert isinstance(model, TextModel)
    requests = []
    for row in rows:
        asked = _REQUEST.format(**row)
        chat = model.render_chat(asked)
        prompt = chat if chat is not None else f"{asked}\n\nAnswer:"
        requests.append(
            GenerateRequest(prompt=prompt, max_new_tokens=recipe.max_new_tokens, rendered=chat is not None)
        )
    answers: list[str | None] = []
    for start in range(0, len(requests), _BATCH):
        outputs = model.generate(requests[start : start + _BATCH])
        batch = rows[start : start + _BATCH]
        answers += [
            output.text.strip() if not output.truncated and keeps(output.text, row["answer"]) else None
            for output, row in zip(outputs, batch, strict=True)
        ]
    return answers


def keeps(answer: str, reference: str) -> bool:
    """Say whether an answer keeps a reference's numbers, and is not far shorter."""
    words, wanted = answer.split(), reference.split()
    numbers = set(re.findall(r"\d+(?:[.,]\d+)*", reference))
    said = set(re.findall(r"\d+(?:[.,]\d+)*", answer))
    return bool(words) and len(words) >= _SHORTEST * len(wanted) and numbers <= said
