"""Where bars are drawn, and where lines are written in their place."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from forgetbench.report import progress


@pytest.mark.parametrize(
    ("terminal", "notebook", "widgets", "lines"),
    [
        (True, False, False, False),
        (False, False, True, True),
        (False, True, True, False),
        (False, True, False, True),
    ],
)  # fmt: skip
def test_a_notebook_has_bars_where_it_has_widgets_and_lines_otherwise(
    terminal: bool, notebook: bool, widgets: bool, lines: bool,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    class Console(progress.Console):
        def __init__(self, **how: Any) -> None:
            super().__init__(force_terminal=terminal, force_jupyter=False, **how)
            self.is_jupyter = notebook

    monkeypatch.setattr(progress, "Console", Console)
    monkeypatch.setattr(progress, "find_spec", lambda name: SimpleNamespace() if widgets else None)
    bars = progress.Bars()
    bars.begin("choices", 30, 0)
    assert ("choices: 30 samples" in capsys.readouterr().err) is lines
