"""Texts from anywhere, made safe inside Markdown, LaTeX and CSV."""

from __future__ import annotations

import re
from collections.abc import Sequence

from forgetbench.report.escape import plain

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def markdown(text: str) -> str:
    r"""Return text that Markdown shows as it is.

    Example:
        >>> markdown("a|b <i>*c*_d")
        'a\\|b &lt;i&gt;\\*c\\*\\_d'
    """
    shown = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#~$!])", r"\\\1", shown)


def markdown_row(cells: Sequence[str]) -> str:
    """Return a row of a Markdown table, of cells that are Markdown."""
    return f"| {' | '.join(cells)} |"


def latex(text: str) -> str:
    r"""Return text that LaTeX sets as it is.

    Example:
        >>> latex("50% of $x_1")
        '50\\% of \\$x\\_1'
    """
    return "".join(_LATEX.get(character, character) for character in plain(text))


def csv_text(text: str) -> str:
    """Return text that no spreadsheet takes for a formula.

    Example:
        >>> csv_text("=1+1")
        "'=1+1"
    """
    shown = plain(text)
    return f"'{shown}" if shown.startswith(("=", "+", "-", "@")) else shown
