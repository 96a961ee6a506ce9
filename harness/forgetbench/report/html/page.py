"""One HTML file of one or several results: it needs no network, and runs no script but its own."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forgetbench.engine.curve_results import trained_checkpoints, training_of_run
from forgetbench.engine.heard_again import Sources
from forgetbench.engine.results import Result
from forgetbench.errors import UsageError
from forgetbench.forgetting.output_health import IN_WORDS
from forgetbench.report import numbers
from forgetbench.report.attribution import ROLE_NAMES, rows_of, sentence
from forgetbench.report.beside import FEWEST_WORDS
from forgetbench.report.cost import CostLine, cost_lines, how_timed
from forgetbench.report.escape import plain, plain_lines
from forgetbench.report.hearing_cost import shown_cost
from forgetbench.report.html import curves
from forgetbench.report.html.forest import Axis, Mark, by_unit
from forgetbench.report.html.samples import AS_A_FILE, Bounds, Samples, samples_of
from forgetbench.report.paper_table import PaperTable, paper_table
from forgetbench.report.signs import DECISIONS, ROLE_TITLES, ROLES, SIGNS
from forgetbench.report.table import said
from forgetbench.schema.comparison import Comparison, Row, Verdict
from forgetbench.schema.cost import Cost
from forgetbench.schema.curve import Curve
from forgetbench.schema.run import RunDocument

if TYPE_CHECKING:
    from jinja2 import Environment

AS_BUILT_IN = Sources()
TEMPLATES = Path(__file__).parent / "template"
LONGEST_SHOWN = 4_000
"""Characters of any one text in the page."""
LONGEST_TITLE = 200
BAD: frozenset[Verdict] = frozenset({"error", "regressed"})
OPEN: frozenset[Verdict] = frozenset({"worse", "inconclusive"})


@dataclass(frozen=True, kw_only=True)
class ForestPanel:
    """The rows of one role that share an axis."""

    axis: Axis
    rows: tuple[tuple[Row, Mark], ...]


@dataclass(frozen=True, kw_only=True)
class View:
    """One result, laid out.

    Attributes:
        anchor: Before the names of its parts, where a page holds several.
        roles: Title and panels of each role.
        inside: Title of each suite row, and the tasks inside.
        notes: Titles of rows, and what is said of them.
    """

    anchor: str
    result: Result
    comparison: Comparison
    samples: Samples
    roles: tuple[tuple[str, tuple[ForestPanel, ...]], ...]
    inside: tuple[tuple[str, tuple[Row, ...]], ...]
    notes: tuple[tuple[str, str], ...]
    cost: tuple[tuple[str, list[CostLine]], ...]
    timed: str

    @property
    def made(self) -> str:
        """Method and steps of its training, as far as they are known: one name often stands for many."""
        known = training_of_run(self.result.checkpoint)
        steps = None if known.steps is None else f"{known.steps} steps"
        return ", ".join(filter(None, (known.method, steps)))

    @property
    def arms(self) -> tuple[tuple[str, RunDocument], ...]:
        """The run documents that there are, by arm."""
        base = (("Base", self.result.base),) if self.result.base else ()
        return (*base, ("Checkpoint", self.result.checkpoint))


def html_report(
    results: Sequence[Result],
    *,
    sources: Sources = AS_BUILT_IN,
    curve: Curve | None = None,
    bounds: Bounds = AS_A_FILE,
) -> str:
    """Return the page.

    Args:
        results: Each with a comparison; several of one method and base are summed up over its seeds, too.
        sources: Where the tasks of the runs are defined: only so can their audio be made again.
        curve: Drawn with its bands.
        bounds: How much of single samples there is of each result.

    Raises:
        UsageError: A result has no comparison, or ``sources`` cannot be used.
        ForgetbenchError: Sample records are missing or damaged.
    """
    views = [
        _view(result, f"r{i}-" if len(results) > 1 else "", sources, bounds)
        for i, result in enumerate(results, 1)
    ]
    style, script = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            views=views,
            seeds=_over_seeds(views),
            curve=curve,
            curves=tuple(curves.panels(curve)) if curve else (),
            style=style,
            script=script,
            policy=content_policy(style, script),
        )
    )


def forest_svg(comparison: Comparison) -> str:
    """Return the verdict-bearing rows as one SVG file, for places that show pictures."""
    return (
        _environment()
        .get_template("forest.svg.j2")
        .render(comparison=comparison, roles=_roles(comparison.rows), wide=900, line=26)
    )


def content_policy(style: str, script: str) -> str:
    """Return a content security policy by which only these two may be applied, and nothing be fetched."""
    hashed = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        "default-src 'none'; img-src data:; media-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src 'sha256-{hashed[0]}'; script-src 'sha256-{hashed[1]}'"
    )


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(
        numbers=numbers, signs=SIGNS, decisions=DECISIONS, tone=tone, fewest_words=FEWEST_WORDS,
        roles_of=ROLE_TITLES, attribution_rows=rows_of, attribution_said=sentence, role_names=ROLE_NAMES,
        hearing_cost=shown_cost, broken_outputs=IN_WORDS,
    )  # fmt: skip
    made.filters["cut"] = lambda text, limit=LONGEST_TITLE: plain(text, limit=limit)
    return made


def _shown(value: Any) -> Any:
    """Return what a place of a template shows: a text without control characters, and not without end."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return plain_lines(value, limit=LONGEST_SHOWN)
    return value


def tone(verdict: Verdict) -> str:
    """Return the class that gives a verdict its colour, beside its sign and its word."""
    if verdict in BAD:
        return "bad"
    return "open" if verdict in OPEN else "good"


def _view(result: Result, anchor: str, sources: Sources, bounds: Bounds) -> View:
    comparison = result.comparison
    if comparison is None:
        raise UsageError(str(result.directory), "has no comparison", "Run again with --base.")
    measured = Cost.of(result.checkpoint.measured)
    return View(
        anchor=anchor,
        result=result,
        comparison=comparison,
        samples=samples_of(result, sources, bounds),
        roles=_roles(comparison.rows),
        inside=tuple(_inside(result, comparison)),
        notes=tuple(_notes(comparison.rows)),
        cost=tuple(
            cost_lines(
                comparison.checkpoint,
                comparison.base,
                measured=measured,
                base_measured=Cost.of(result.base.measured) if result.base else None,
            )
        ),
        timed=how_timed(measured) if measured else "",
    )


def _roles(rows: Sequence[Row]) -> tuple[tuple[str, tuple[ForestPanel, ...]], ...]:
    of_role = [(ROLE_TITLES[role], [row for row in rows if row.role == role]) for role in ROLES]
    return tuple(
        (
            title,
            tuple(
                ForestPanel(axis=axis, rows=tuple((row, axis.mark(row)) for row in members))
                for axis, members in by_unit(own)
            ),
        )
        for title, own in of_role
        if own
    )


def _notes(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """Yield what is said of rows with their titles; what several share is said once, at the end."""
    by_text: dict[str, list[str]] = {}
    for row in rows:
        for text in said(row):
            by_text.setdefault(text, []).append(row.title)
    for text, titles in sorted(by_text.items(), key=lambda item: len(item[1])):
        yield ", ".join(plain(title, limit=60) for title in titles), text


def _inside(result: Result, comparison: Comparison) -> list[tuple[str, tuple[Row, ...]]]:
    """Return the tasks inside each suite row; those whose row is not known come by role."""
    members = {info.title: set(info.tasks) for info in result.checkpoint.suite_rows}
    found = [
        (title, tuple(row for row in comparison.details if row.name in names))
        for title, names in members.items()
    ]
    known = set().union(*members.values())
    left = sorted((row for row in comparison.details if row.name not in known), key=lambda row: row.role)
    found += [(ROLE_TITLES[role], tuple(rows)) for role, rows in groupby(left, key=lambda row: row.role)]
    return [(title, rows) for title, rows in found if rows]


def _over_seeds(views: Sequence[View]) -> tuple[PaperTable, Any] | None:
    """Return the rows of a method over its seeds; None where the results are no seeds of one method."""
    if len(views) < 2:
        return None
    try:
        trained = trained_checkpoints([view.result for view in views])
        table = paper_table([view.comparison for view in views], [each.training for each in trained])
    except UsageError:
        return None
    return table, _roles(table.rows)
