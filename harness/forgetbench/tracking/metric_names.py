"""Names and values within MLflow's rules: what it refuses is replaced, never lost."""

from __future__ import annotations

import hashlib
import math
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Mapping

REFUSED = re.compile(r"[^A-Za-z0-9_\-. :/]")
LONGEST_NAME = 250
LONGEST_PARAM = 6000
LONGEST_TAG = 5000


def valid_names(names: Iterable[str]) -> dict[str, str]:
    """Return the name that MLflow takes for each of our names, no two the same.

    A character that MLflow refuses becomes an underscore. Where two names would become one, those that had to
    change get a hash of what they were, so the same names come out whatever their order.
    """
    wanted = {name: valid_name(name) for name in names}
    takers = Counter(new.lower() for new in wanted.values())  # some databases tell no case apart
    return {
        name: new if takers[new.lower()] == 1 or new == name else _marked(new, name)
        for name, new in wanted.items()
    }


def measured(values: Mapping[str, float | None]) -> dict[str, float]:
    """Return the finite values: a missing score is left out, never 0."""
    return {name: value for name, value in values.items() if value is not None and math.isfinite(value)}


def valid_name(name: str) -> str:
    """Return a name of allowed characters, in normal path form and of allowed length."""
    path = posixpath.normpath("/" + REFUSED.sub("_", name.replace("α", "alpha"))).strip("/")
    path = "/".join("_" if set(part) <= {"."} else part for part in path.split("/")) or "_"
    return path if len(path) <= LONGEST_NAME else _marked(path, name)


def cut(text: str, *, limit: int) -> str:
    """Return text within MLflow's limit for a parameter or a tag."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def described(*paragraphs: str) -> str:
    """Return a run's description: blocks of code, for MLflow reads Markdown and the texts are anyone's."""
    lines = (" ".join(text.split()) for text in paragraphs)
    return cut("\n\n".join(f"    {line}" for line in lines if line), limit=LONGEST_TAG)


def _marked(valid: str, original: str) -> str:
    mark = "_" + hashlib.sha256(original.encode(errors="surrogatepass")).hexdigest()[:8]
    return valid[: LONGEST_NAME - len(mark)] + mark
