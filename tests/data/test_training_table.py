"""A user's CSV of how checkpoints were trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetbench.data.training_table import read_training_table
from forgetbench.errors import DataError
from forgetbench.schema.curve import Training


def test_empty_fields_are_not_known(tmp_path: Path) -> None:
    (tmp_path / "made.csv").write_text("checkpoint,steps,seed,method\nfirst,10,,lora\nlast,20,1,\n")
    assert read_training_table(tmp_path / "made.csv") == {
        "first": Training(steps=10, method="lora"),
        "last": Training(steps=20, seed=1),
    }


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "name,steps\nx,1\n", "has no column 'checkpoint'. Its columns: name, steps"),
        ("a.csv", "checkpoint,step\nx,1\n", "has the unknown column 'step'"),
        ("a.csv", "checkpoint,steps\nx,many\n", "line 2: steps: Input should be a valid integer"),
        ("a.csv", "checkpoint,steps\nx,-1\n", "line 2: steps"),
        ("a.csv", "checkpoint,target_loss\nx,inf\n", "line 2: target_loss"),
        ("a.csv", "checkpoint,steps\nx,1\nx,2\n", "line 3: names x twice"),
        ("a.csv", "checkpoint,steps\nx\n", "another number of fields"),
        ("a.csv", "checkpoint,steps\n", "has no rows"),
        ("a.json", "{}", "is not a CSV file"),
    ],
)
def test_a_table_that_cannot_be_read_names_the_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError) as failure:
        read_training_table(tmp_path / name)
    assert said in str(failure.value)
