"""What came from a model or a data set is shown, never obeyed: no terminal control, no markup."""

from __future__ import annotations

import re
import unicodedata

SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor, clear screen
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # OSC, DCS: titles, links
    r"|\x1b[ -/]*[0-~]"  # two-character sequences: reset, character sets
)
SHOWN_AS_FORMAT = {"\u200c", "\u200d"}  # joiners that spelling and emoji need
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def plain(text: str, *, limit: int | None = None) -> str:
    r"""Return text on one line that no terminal acts upon.

    Escape sequences are dropped whole and white space becomes single spaces. What is left of control
    characters, direction overrides and lone surrogates becomes U+FFFD, so that a reader sees
    that something was there.

    Args:
        text: Anything, from anywhere.
        limit: Longest result in characters; a longer one ends in ``…``.

    Returns:
        Printable text. It can still hold ``[brackets]``: put it in a ``rich.text.Text``, never in markup.

    Example:
        >>> plain("\x1b[31mred\x1b[0m\n\tand   [bold]")
        'red and [bold]'
    """
    if limit is not None:
        text = text[: 20 * limit]  # an endless output costs no more than a long one
    line = " ".join(SEQUENCE.sub("", text).split())
    shown = "".join(REPLACEMENT if _acts(character) else character for character in line)
    if limit is not None and len(shown) > limit:
        shown = shown[: limit - 1].rstrip() + "…"
    return shown


def plain_lines(text: str, *, limit: int) -> str:
    """Return text of several lines, each as :func:`plain` shows it, cut to ``limit`` characters in all."""
    shown = "\n".join(plain(line) for line in text[: 20 * limit].splitlines())
    return shown if len(shown) <= limit else shown[: limit - 1].rstrip() + "…"


def _acts(character: str) -> bool:
    """Say whether a terminal could do something else with the character than show it."""
    if character in SHOWN_AS_FORMAT:
        return False
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
