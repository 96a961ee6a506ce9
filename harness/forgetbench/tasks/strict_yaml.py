"""One YAML mapping from a file: no tags, no merges, no key twice, and the line of each key for messages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import yaml

from forgetbench.errors import UsageError

MAX_BYTES = 1_000_000


class Mapping(NamedTuple):
    """The content of a file, and the node that knows its lines."""

    content: dict[str, Any]
    node: yaml.Node | None


def read_mapping(path: Path, *, what: str, error: type[UsageError]) -> Mapping:
    """Read a YAML mapping.

    Args:
        path: The file.
        what: What it should hold, for messages, such as ``task``: also the name of its schema.
        error: What is raised.

    Raises:
        UsageError: The file is unreadable, too large, no YAML, no mapping, or has a key twice.
    """
    text = _read_text(path, what, error)
    try:
        node, content = _parse(text)
    except yaml.YAMLError as broken:
        mark = getattr(broken, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(broken, "problem", None) or "not valid YAML"
        files = f"{what.capitalize()} files are plain YAML mappings."
        raise error(f"{path}{line}", str(problem), files) from None
    except RecursionError:
        raise error(str(path), "is nested too deeply", f"See `forgetbench schema {what}`.") from None
    except ValueError as broken:  # a date or a number that is none
        raise error(str(path), f"holds a value that cannot be read ({broken})", "Quote it.") from None
    if not isinstance(content, dict):
        raise error(str(path), "is not a YAML mapping", f"See `forgetbench schema {what}`.")
    return Mapping(content, node)


def _parse(text: str) -> tuple[yaml.Node | None, Any]:
    loader = _UniqueKeys(text)
    try:
        node = loader.get_single_node()
        return node, None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def line_of(node: Any, location: Sequence[int | str]) -> int:
    """Return the line (from 1) of the deepest part of ``location`` that the file has."""
    line = 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == str(part)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line


class _UniqueKeys(yaml.SafeLoader):
    """Safe YAML without tags and merges; a key that comes twice is an error, for the second would win."""

    def fetch_tag(self) -> NoReturn:
        """Refuse a tag."""
        raise yaml.scanner.ScannerError(None, None, "a value has a tag", self.get_mark())

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        """Return a value as it is written, unless it is half a character: no UTF-8 file holds one."""
        try:
            if isinstance(node.value, str):
                node.value.encode()
        except UnicodeEncodeError:
            told = "a value holds half a character (a surrogate)"
            raise yaml.constructor.ConstructorError(None, None, told, node.start_mark) from None
        return super().construct_scalar(node)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Refuse what would put the keys of another mapping into one."""
        if merged := next((key for key, _ in node.value if key.tag == "tag:yaml.org,2002:merge"), None):
            raise yaml.constructor.ConstructorError(None, None, "a mapping is merged (<<)", merged.start_mark)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping of a node."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key is no text", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} comes twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _read_text(path: Path, what: str, error: type[UsageError]) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise error(str(path), "is larger than 1 MB", f"A {what} file holds a definition, not data.")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise error(str(path), "is not UTF-8 text", "Save it as UTF-8.") from None
    except OSError as failed:
        raise error(str(path), failed.strerror or "cannot be read", "Check the path.") from None
    except ValueError as failed:
        raise error(str(path), f"is no path ({failed})", "Check it.") from None
