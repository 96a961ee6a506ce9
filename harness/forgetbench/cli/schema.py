"""``forgetbench schema``: the documents as JSON Schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

Name = Literal[
    "task", "run", "comparison", "attribution", "sample", "metric", "cost", "curve", "sequence", "policy",
    "board", "submission", "recipe", "grid",
]  # fmt: skip


def schema(
    document: Annotated[
        Name | None,
        typer.Argument(help="Which document. Without: all, in one object by name.", show_default=False),
    ] = None,
) -> None:
    """Print the JSON Schema of a document, for editors and for other programs."""
    from forgetbench.cli.console import write_json

    found = schemas()
    write_json(found if document is None else found[document])


def schemas() -> dict[Name, dict[str, Any]]:
    """Return the JSON Schema of every document."""
    from forgetbench.schema.attribution import Attribution
    from forgetbench.schema.board import Board, Submission
    from forgetbench.schema.comparison import Comparison
    from forgetbench.schema.cost import Cost
    from forgetbench.schema.curve import Curve
    from forgetbench.schema.metric import MetricSpec
    from forgetbench.schema.policy import Policy
    from forgetbench.schema.recipe import Recipe
    from forgetbench.schema.run import RunDocument
    from forgetbench.schema.sample import SampleRecord
    from forgetbench.schema.sequence import TaskSequence
    from forgetbench.schema.sweep import Grid
    from forgetbench.schema.task import DEFINITION

    return {
        "task": _named("task", DEFINITION.json_schema()),
        "run": _named("run", RunDocument.model_json_schema()),
        "comparison": _named("comparison", Comparison.model_json_schema()),
        "attribution": _named("attribution", Attribution.model_json_schema()),
        "sample": _named("sample", SampleRecord.model_json_schema()),
        "metric": _named("metric", MetricSpec.model_json_schema()),
        "cost": _named("cost", Cost.model_json_schema()),
        "curve": _named("curve", Curve.model_json_schema()),
        "sequence": _named("sequence", TaskSequence.model_json_schema()),
        "policy": _named("policy", Policy.model_json_schema()),
        "board": _named("board", Board.model_json_schema()),
        "submission": _named("submission", Submission.model_json_schema()),
        "recipe": _named("recipe", Recipe.model_json_schema()),
        "grid": _named("grid", Grid.model_json_schema()),
    }


def _named(name: str, content: dict[str, Any]) -> dict[str, Any]:
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"forgetbench:{name}"}
    return head | content
