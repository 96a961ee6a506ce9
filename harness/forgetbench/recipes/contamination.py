"""Is a test item among the training data? Then what looks like learning may be memory.

Texts: *exact* where the words are the same; *near* where at least half of all word 3-grams of the two are
shared (Jaccard ≥ .5), which one changed word in eleven or more leaves, and a paraphrase does not; or where
four fifths of the test item's are in a longer training example. Lee et al. 2022 (arXiv 2107.06499) take
5-grams and .8 for documents: a question of twenty words with one changed would pass.
Texts of fewer than four words are not compared, of fewer than eight only exactly; nor choices of fewer
than eight, for many questions have "none of the above". In scripts that put no space between words each
character counts as one.
Recordings: the same where their samples are, whatever the file format keeps beside them; for a recogniser,
what is said in them, too.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from forgetbench.data.audio import read_audio, read_bytes
from forgetbench.data.hub import is_unfetched, load_hub_rows
from forgetbench.data.tabular import read_rows
from forgetbench.errors import DataError, SampleError
from forgetbench.recipes.data import json_rows
from forgetbench.recipes.mixing import sources_of
from forgetbench.schema.recipe import Contamination, Family, Recipe
from forgetbench.schema.task import DatasetTask, Fields, SpeechTask, SpokenTask
from forgetbench.tasks.definition import Definition
from forgetbench.tasks.registry import load_registry

NEAR = 0.5
"""Least Jaccard similarity of word 3-grams."""
CONTAINED = 0.8
"""Least share of a test item's word 3-grams."""
N_GRAM = 3
SHORTEST_EXACT, SHORTEST_NEAR = 4, 8
"""Words."""
_SHOWN = 5
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Thai, Lao, Burmese, Khmer, kana and Chinese characters."""
_WORD = re.compile(rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}])[^\W_])+")

Row = Mapping[str, Any]


class Item(NamedTuple):
    """Something to compare: the words of a text, or the hash of a recording; and where it stands."""

    place: str
    content: tuple[str, ...] | str


def check_contamination(
    recipe: Recipe,
    tasks: Sequence[str] = (),
    *,
    target: Path | None = None,
    include_paths: Sequence[Path] = (),
    allow: bool = False,
) -> Contamination:
    """Compare a recipe's training data, and what is mixed in, with the items of tests.

    Args:
        recipe: Names the data.
        tasks: Suites, tasks or globs; none for every task whose items are on this machine.
        target: A user's own test set.
        include_paths: Where more task definitions are.
        allow: Report what was found, in place of an error.

    Raises:
        DataError: A training example is a test item, or nearly one; or the data cannot be used.
        TaskError: A name matches nothing.
    """
    registry = load_registry(include_paths)
    chosen = registry.select(tasks).tasks if tasks else tuple(registry)
    family = recipe.family
    fitting = [d for d in chosen if isinstance(d.task, DatasetTask) and _fits(d.task, family)]
    here = [d for d in fitting if isinstance(d.task, DatasetTask) and not is_unfetched(d.task)]
    items = [item for definition in here for item in _items_of(definition, family)]
    if target is not None:
        items += _of_rows(str(target), read_rows(target), target.parent, family, Fields())
    checked = {d.task.name for d in here} | ({str(target)} if target else set())
    told = {d.task.name for d in chosen} - checked if tasks else set[str]()
    exact, near = _found(_training_items(recipe), items)
    shown = [*exact.items(), *near.items()][:_SHOWN]
    contamination = Contamination(
        tasks=tuple(sorted(checked)),
        not_checked=tuple(sorted(told)),
        exact=len(exact),
        near=len(near),
        examples=tuple(f"{mine} is {'' if mine in exact else 'nearly '}{theirs}" for mine, theirs in shown),
    )
    if (exact or near) and not allow:
        n = len(exact) + len(near)
        cause = f"{n} training examples are test items or nearly: {contamination.examples[0]}"
        way_out = "Remove them, or train all the same with --allow-contamination, which is recorded."
        raise DataError(recipe.data, cause, way_out)
    return contamination


def similarity(first: str, second: str) -> float:
    """Return the Jaccard similarity of two texts' word 3-grams, in [0, 1]."""
    one, two = _grams(words_of(first)), _grams(words_of(second))
    return len(one & two) / len(one | two) if one | two else 0.0


def words_of(text: str) -> list[str]:
    """Return a text's words in small letters, without punctuation.

    Example:
        >>> words_of("It's 音量 2.")
        ['it', 's', '音', '量', '2']
    """
    return _WORD.findall(text.lower())


def _grams(words: Sequence[str]) -> set[tuple[str, ...]]:
    return {tuple(words[i : i + N_GRAM]) for i in range(len(words) - N_GRAM + 1)}


def _fits(task: DatasetTask, family: Family) -> bool:
    """Say whether a task's items are of a kind with the training data: a spoken request is a text, too."""
    return isinstance(task, SpeechTask) == (family != "causal_lm") or isinstance(task, SpokenTask)


def _items_of(definition: Definition, family: Family) -> Iterator[Item]:
    task = definition.task
    assert isinstance(task, DatasetTask)
    if task.dataset.path is None:
        rows, _ = load_hub_rows(task)
        folder = definition.folder
    else:
        path = definition.folder / task.dataset.path
        rows, folder = read_rows(path), path if path.is_dir() else path.parent
    for column, value in task.dataset.filter.items():
        rows = [row for row in rows if str(row.get(column)) == value]
    yield from _of_rows(task.name, rows, folder, family, task.dataset.fields)


def _of_rows(name: str, rows: Sequence[Row], folder: Path, family: Family, fields: Fields) -> list[Item]:
    """Return the texts of rows for a language model, their recordings else; for a recogniser both."""
    items = []
    for number, row in enumerate(rows, start=1):
        place = f"{name}:{number}"
        audio, said = row.get(fields.audio), row.get(fields.text)
        texts = _texts(row) if family == "causal_lm" else []
        if family == "whisper" and isinstance(said, str):
            texts = [said]
        items += [Item(place, tuple(words_of(text))) for text in texts]
        if family != "causal_lm" and isinstance(audio, str) and (digest := _samples_digest(folder / audio)):
            items.append(Item(place, digest))
    return items


def _texts(row: Row) -> list[str]:
    """Return each text of a row, choices too, and question with answer: a question may be too short alone."""
    asked, answer = row.get("prompt") or row.get("question"), row.get("answer")
    both = [f"{asked} {answer}"] if isinstance(asked, str) and isinstance(answer, str) else []
    texts = [text for text in (*row.values(), *both) if isinstance(text, str)]
    listed = [text for value in row.values() if isinstance(value, list) for text in value]
    return texts + [t for t in listed if isinstance(t, str) and len(words_of(t)) >= SHORTEST_NEAR]


def files_of(recipe: Recipe) -> list[Path]:
    """Return the data files that a recipe learns from: its examples', and that of what EWC is to keep."""
    kept = [Path(recipe.ewc_data).expanduser()] if recipe.ewc and recipe.ewc_data else []
    return list(dict.fromkeys([*sources_of(recipe).values(), *kept]))


def _training_items(recipe: Recipe) -> Iterator[Item]:
    for path in files_of(recipe):
        rows = [row for _, row in json_rows(path)]
        yield from _of_rows(str(path), rows, path.parent, recipe.family, Fields())


def _samples_digest(path: Path) -> str | None:
    try:
        samples, rate = read_audio(read_bytes(path, path.name), path.name)
    except SampleError:
        return None  # training, or the task, names it
    rounded = np.round(np.asarray(samples) * 32767).astype(np.int16)
    return hashlib.sha256(rounded.tobytes() + str(rate).encode()).hexdigest()


def _found(training: Iterator[Item], items: Sequence[Item]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the test item of each training example that is one, and of each that nearly is one, by place."""
    same = {item.content: item.place for item in items if not _is_short(item, SHORTEST_EXACT)}
    grams = [set() if _is_short(item, SHORTEST_NEAR) else _grams_of(item) for item in items]
    having: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for i, those in enumerate(grams):
        for gram in those:
            having[gram].append(i)
    exact: dict[str, str] = {}
    near: dict[str, str] = {}
    for example in training:
        if example.content in same:
            exact.setdefault(example.place, same[example.content])
        elif not _is_short(example, SHORTEST_NEAR):
            mine = _grams_of(example)
            shared = Counter(i for gram in mine for i in having.get(gram, ()))
            alike = {i: n / (len(mine) + len(grams[i]) - n) for i, n in shared.items()}
            found = [i for i, n in shared.items() if alike[i] >= NEAR or n >= CONTAINED * len(grams[i])]
            if found:
                near.setdefault(example.place, items[max(found, key=lambda i: (alike[i], -i))].place)
    return exact, {place: item for place, item in near.items() if place not in exact}


def _is_short(item: Item, n_words: int) -> bool:
    return isinstance(item.content, tuple) and len(item.content) < n_words


def _grams_of(item: Item) -> set[tuple[str, ...]]:
    """Return the word 3-grams of a text; a recording has none."""
    return _grams(item.content) if isinstance(item.content, tuple) else set()
