"""examples/own-voice: a recording becomes a task, where a system that changed its voice loses."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from forgetbench.cli.app import app
from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.models import factory

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "own-voice"
SPOKEN = ROOT / "tasks" / "hearing" / "mini" / "data"
SOURCE = '''
import json
from pathlib import Path
import soundfile
from forgetbench.models.interface import Audio, Output

class Voice:
    """Speaks the sentences of hearing-mini by their recordings; played faster, it is somebody else."""
    def __init__(self, name, speed):
        rows = [json.loads(line) for line in Path(FOLDER, "everyday_test.jsonl").read_text().splitlines()]
        self.recordings = {row["text"]: Path(FOLDER, row["audio"]) for row in rows}
        self.fingerprint, self.speed = name, speed
    def synthesize(self, texts, *, language):
        heard = [soundfile.read(self.recordings[text], dtype="float32") for text in texts]
        return [Audio(samples=samples, sampling_rate=round(self.speed * rate)) for samples, rate in heard]
def before(): return Voice("before", 1.0)
def unchanged(): return Voice("unchanged", 1.0)
def changed(): return Voice("changed", 1.4)

class Ears:
    fingerprint = "ears"
    def transcribe(self, audio, *, language):
        return [Output(text="", n_tokens=1, truncated=False) for _ in audio]
def ears(): return Ears()
'''


def make(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["make_manifest.py", *arguments])
    runpy.run_path(str(EXAMPLE / "make_manifest.py"), run_name="__main__")


def lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def one_sentence_each() -> dict[str, dict[str, str]]:
    """The first sentence of each speaker."""
    return {row["speaker"]: row for row in reversed(lines(SPOKEN / "everyday_test.jsonl"))}


def test_recordings_are_given_to_the_sentences_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings = [str(SPOKEN / row["audio"]) for row in one_sentence_each().values()][:2]
    make(monkeypatch, *recordings, "--output", str(tmp_path / "data"))
    rows = lines(tmp_path / "data" / "own_voice.jsonl")
    assert [row["voice"] for row in rows[:3]] == ["voice0.ogg", "voice1.ogg", "voice0.ogg"]
    assert len(rows) == 72
    (tmp_path / "own_voice.yaml").write_text((EXAMPLE / "own_voice.yaml").read_text())
    done = CliRunner().invoke(app, ["tasks", "validate", str(tmp_path / "own_voice.yaml")])
    assert done.exit_code == 0, done.output


def test_a_recording_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        make(monkeypatch, "nobody.wav", "--output", str(tmp_path / "data"))
    assert "nobody.wav is not there" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(("model", "verdict"), [("changed", "regressed"), ("unchanged", "retained")])
def test_a_voice_that_changed_loses_by_the_real_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, verdict: str
) -> None:
    """Each wanted voice says one sentence; the system speaks the others of that voice."""
    name = f"own_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(f"FOLDER = {str(SPOKEN)!r}\n{SOURCE}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(factory.OURS, "ears-of-this-test", f"{name}:ears")
    wanted = one_sentence_each()
    make(monkeypatch, *(str(SPOKEN / row["audio"]) for row in wanted.values()), "--output", "data")
    speakers = {row["id"]: row["speaker"] for row in lines(SPOKEN / "everyday_test.jsonl")}
    given = {row["id"] for row in wanted.values()}
    manifest = tmp_path / "data" / "own_voice.jsonl"
    rows = [
        {**row, "voice": f"voice{[*wanted].index(speakers[row['id']])}.ogg"}
        for row in lines(manifest)
        if row["id"] not in given
    ]
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = (EXAMPLE / "own_voice.yaml").read_text()
    (tmp_path / "own_voice.yaml").write_text(task.replace("openai/whisper-tiny.en", "ears-of-this-test"))
    request = Request(
        model=f"{name}:{model}", base=f"{name}:before", tasks=["own-voice"], include_paths=[tmp_path],
        output=tmp_path / "results", offline=True,
    )  # fmt: skip
    result = evaluate(prepare(request))
    assert result.base is not None and result.comparison is not None
    base, checkpoint = (
        document.tasks[0].metrics["speaker_similarity"].value or 0.0
        for document in (result.base, result.checkpoint)
    )
    assert base > 0.85
    assert checkpoint < 0.75 if model == "changed" else checkpoint == base
    assert [row.verdict for row in result.comparison.rows] == [verdict]
