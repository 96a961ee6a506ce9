"""BibTeX of the tasks that a result used."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

from forgetbench import __version__
from forgetbench.paths import builtin_root
from forgetbench.report.markup import latex

REFERENCES = "references.bib"
OWN = f"""@software{{forgetbench,
  title = {{forgetbench: paired evaluation of what post-training forgets}},
  version = {{{__version__}}},
}}"""


def bibtex(citations: Mapping[str, str]) -> str:
    """Return the entries of tasks, each once, and of forgetbench itself.

    Entries come from ``tasks/references.bib``; a source that is not there gets an entry with the words of its
    citation.

    Args:
        citations: Citation by the title of the task that it is for, such as ``Clark et al. 2018, arXiv
            1803.05457``; several are parted by semicolons.
    """
    known = _known()
    found = {"forgetbench": OWN}
    for title, text in citations.items():
        for citation in filter(None, map(str.strip, text.split(";"))):
            key = key_of(citation)
            found.setdefault(key, known.get(key) or _unlisted(key, title, citation))
    return "\n\n".join(found.values()) + "\n"


def key_of(citation: str) -> str:
    """Return the key of a citation: the first author's surname and the year.

    Example:
        >>> key_of("Röttger et al. 2024, arXiv 2308.01263")
        'rottger2024'
    """
    surname = re.split(r" et al|,| &", citation)[0]
    surname = re.sub(r"\s*\d{4}.*", "", surname)
    year = re.search(r"\b(?:19|20)\d{2}\b", citation)
    ascii_name = unicodedata.normalize("NFKD", surname).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z]", "", ascii_name) + (year.group() if year else "")


def entries(text: str) -> Iterable[tuple[str, str]]:
    """Yield key and text of each entry of a BibTeX file, in which every entry starts a line with ``@``."""
    for entry in re.split(r"^(?=@)", text, flags=re.MULTILINE):
        if found := re.match(r"@\w+\{([^,\s]+),", entry):
            yield found.group(1), entry.strip()


def _known() -> dict[str, str]:
    return dict(entries((builtin_root() / REFERENCES).read_text(encoding="utf-8")))


def _unlisted(key: str, title: str, citation: str) -> str:
    year = re.search(r"\b(?:19|20)\d{2}\b", citation)
    lines = [f"@misc{{{key or 'task'},", f"  title = {{{latex(title)}}},", f"  note = {{{latex(citation)}}},"]
    return "\n".join([*lines, *([f"  year = {{{year.group()}}},"] if year else []), "}"])
