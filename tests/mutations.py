"""Malformed inputs made of valid ones: a value exchanged, a key lost, bytes cut, flipped or put in."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any

WRONG_VALUES: tuple[Any, ...] = (
    None, "", "x", -1, 0, 10**400, 1.5, True, [], {}, [[]], [None], {"a": 1}, "\x00", "../../etc/passwd",
    "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), "a" * 70_000, float("nan"), float("inf"),
)  # fmt: skip


def of_tree(tree: Any, *, n: int, seed: int) -> Iterator[tuple[str, Any]]:
    """Yield ``n`` labelled copies of a document, each with one thing wrong at one place."""
    rng = random.Random(seed)
    places = list(_places(tree))
    for _ in range(n):
        changed = copy.deepcopy(tree)
        path = rng.choice(places)
        label, change = rng.choice(_CHANGES)
        yield f"{label} at {'.'.join(map(str, path))}", change(changed, path, rng)


def _places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from _places(value, (*path, key))


def _parent(tree: Any, path: tuple[Any, ...]) -> Any:
    for part in path[:-1]:
        tree = tree[part]
    return tree


def _exchanged(tree: Any, path: tuple[Any, ...], rng: random.Random) -> Any:
    _parent(tree, path)[path[-1]] = rng.choice(WRONG_VALUES)
    return tree


def _lost(tree: Any, path: tuple[Any, ...], rng: random.Random) -> Any:
    del _parent(tree, path)[path[-1]]
    return tree


def _renamed(tree: Any, path: tuple[Any, ...], rng: random.Random) -> Any:
    parent = _parent(tree, path)
    if isinstance(parent, dict):
        parent[f"{path[-1]}s"] = parent.pop(path[-1])
    else:
        parent.append(parent[0])
    return tree


def _deep(tree: Any, path: tuple[Any, ...], rng: random.Random) -> Any:
    value: Any = "x"
    for _ in range(300):
        value = [value]
    _parent(tree, path)[path[-1]] = value
    return tree


_CHANGES: tuple[tuple[str, Callable[[Any, tuple[Any, ...], random.Random], Any]], ...] = (
    ("another value", _exchanged), ("another value", _exchanged), ("lost", _lost), ("renamed", _renamed),
    ("nested deeply", _deep),
)  # fmt: skip


def of_bytes(content: bytes, *, n: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield ``n`` labelled copies of a file, each damaged in one way."""
    rng = random.Random(seed)
    for _ in range(n):
        label, damage = rng.choice(_DAMAGES)
        yield label, damage(content, rng)


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def _flipped(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _filled(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content))
    return content[:start] + bytes(rng.randrange(256) for _ in range(16)) + content[start:]


def _doubled(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content))
    return content[:start] + content[rng.randrange(len(content)) :]


_DAMAGES: tuple[tuple[str, Callable[[bytes, random.Random], bytes]], ...] = (
    ("cut off", _cut), ("bits flipped", _flipped), ("bytes put in", _filled), ("spliced", _doubled),
    ("empty", lambda content, rng: b""),
    ("zeros", lambda content, rng: bytes(len(content))),
    ("no UTF-8", lambda content, rng: b"\xff\xfe" + content),
    ("nested without end", lambda content, rng: b"[" * 100_000),
    ("nested mappings without end", lambda content, rng: b'{"a":' * 50_000),
)  # fmt: skip
