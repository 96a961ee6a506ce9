"""A pair that was really run by tiny models, and its submission."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.leaderboard.definition import columns_of, read_board
from forgetbench.leaderboard.entries import read_entries
from forgetbench.leaderboard.submission import pack
from forgetbench.leaderboard.verify import Check
from forgetbench.schema.run import Settings
from tiny_tasks import choice_rows, pair_rows, write_speech, write_task

SAID = {"submitter": "A. Person", "hardware": "two cores"}


@dataclass(frozen=True)
class Made:
    """A pair that was really run, and the board that it is for."""

    result: Path
    tasks: Path
    board: Path
    root: Path

    def submitted(self, folder: Path, **said: Any) -> Path:
        return pack(self.result, folder, said={**SAID, **said})

    def check(self, **changes: Any) -> Check:
        board = read_board(str(self.board))
        columns = columns_of(board, [self.tasks])
        results = changes.pop("results", None)
        present = read_entries(results, board, columns)[0] if results else ()
        fields = {
            "board": board,
            "columns": columns,
            "include_paths": [self.tasks],
            "present": present,
        }
        return Check(**(fields | changes))


@pytest.fixture(scope="session")
def ran(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A system of tiny models, of which both the recogniser and the language model changed."""
    root = tmp_path_factory.mktemp("ran")
    tasks = root / "tasks"
    tasks.mkdir()
    write_task(
        tasks, "choices", choice_rows(30), kind="multiple_choice", prompt="{question}", primary="acc",
        metrics=["acc", "acc_norm"], chance=1 / 3,
    )  # fmt: skip
    write_task(
        tasks, "own_answers", pair_rows(24), kind="likelihood", prompt="{prompt}", metrics=["bits_per_byte"],
        primary="bits_per_byte", role="target",
    )  # fmt: skip
    write_task(
        tasks, "refusals", pair_rows(24), kind="refusal", prompt="{prompt}", metrics=["complied"],
        primary="complied", max_new_tokens=4, role="safety",
    )  # fmt: skip
    write_task(
        tasks, "heard", write_speech(tasks), kind="asr", fields={"cluster": "speaker"}, metrics=["wer"],
        primary="wer",
    )  # fmt: skip
    board = root / "board.yaml"
    board.write_text(yaml.safe_dump({"name": "tiny", "title": "Tiny losses", "tasks": ["tiny"]}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORGETBENCH_CACHE", str(root / "cache"))
        other = made / "whisper-other"
        if not other.exists():
            from tiny_models import make_whisper

            make_whisper(other, seed=3)
        request = Request(
            model=f"asr={other},lm={made / 'lora'}", base=f"asr={made / 'whisper'},lm={made / 'llama'}",
            tasks=["tiny"], include_paths=[tasks], output=root / "results", offline=True, settings=Settings(),
        )  # fmt: skip
        result = evaluate(prepare(request))
    return Made(result=result.directory, tasks=tasks, board=board, root=root)


@pytest.fixture
def edit() -> Callable[..., None]:
    """``edit(path, change)``: rewrite a JSON document by a function of its content."""

    def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return rewrite


@pytest.fixture
def twin(ran: Made, tmp_path: Path) -> Path:
    """A submission of the run that a test may change."""
    directory = ran.submitted(tmp_path / "submissions")
    return directory
