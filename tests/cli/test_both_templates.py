"""``--chat-template both``, on tiny models through the whole pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from forgetbench.engine import lazy_model
from forgetbench.errors import UsageError
from forgetbench.models.causal_lm import CausalLM

OTHER = "{% for m in messages %}ask: {{ m['content'] }} say:{% endfor %}"


@pytest.fixture
def changed(copy: Callable[..., Path]) -> Path:
    """A model with another chat template than its base, ``llama``."""
    folder = copy("other")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "chat_template.jinja").write_text(OTHER)
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": OTHER}))
    return folder


@pytest.fixture
def run(cli: Callable[..., Result], made: Path, tiny_tasks: Path, tmp_path: Path) -> Callable[..., Result]:
    def call(model: Path, *more: str, base: Path | None = made / "llama") -> Result:
        named = ("--base", str(base)) if base else ()
        return cli(
            "run", "--model", str(model), *named, "--tasks", "answers,choices",
            "--include-path", str(tiny_tasks), "--output-path", str(tmp_path / "results"),
            "--offline", "--no-mlflow", "--chat-template", "both", *more,
        )  # fmt: skip

    return call


def test_the_pair_is_shown_under_each_template_and_what_has_none_is_computed_once(
    run: Callable[..., Result], changed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contexts: list[str] = []
    original = CausalLM.score_text

    def counting(self, requests):
        contexts.extend(request.context for request in requests)
        return original(self, requests)

    monkeypatch.setattr(CausalLM, "score_text", counting)
    done = run(changed, "--json")
    assert done.exit_code == 0, done.output
    first, second = json.loads(done.stdout)
    assert first["directory"] != second["directory"]
    modes = [result["checkpoint"]["settings"]["chat_template"] for result in (first, second)]
    assert modes == ["base", "checkpoint"]
    for result in (first, second):
        assert not [w for w in result["comparison"]["warnings"] if w.startswith("answers: the prompt starts")]
    assert sum(context.startswith("ask: ") for context in contexts) == 2 * 24
    assert sum(context.startswith("<u>") for context in contexts) == 2 * 24
    plain = [context for context in contexts if not context.startswith(("ask: ", "<u>"))]
    assert len(plain) == 2 * 30 * 3
    said = done.stderr
    assert said.index("under the chat template of the base") < said.index("template of the checkpoint")
    assert "Chat template: " in said.splitlines()[-1]


def test_arms_with_one_template_are_run_once(run: Callable[..., Result], made: Path) -> None:
    done = run(made / "lora", base=None)
    assert done.exit_code == 0, done.output
    assert "Both arms have the same chat template: one run shows all" in done.stdout
    assert done.stdout.count("Worse by: positive") == 1
    assert "Chat template:" not in done.stdout


def test_what_cannot_be_compared_is_refused_before_any_work(
    run: Callable[..., Result], changed: Path, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lazy_model, "load", lambda *_: pytest.fail("a model was loaded"))
    assert "there is no base" in str(run(changed, base=None).exception)
    assert "one checkpoint at a time" in str(run(changed, "--model", str(made / "lora")).exception)
    (changed / "chat_template.jinja").unlink()
    config = json.loads((changed / "tokenizer_config.json").read_text())
    del config["chat_template"]
    (changed / "tokenizer_config.json").write_text(json.dumps(config))
    error = run(changed).exception
    assert isinstance(error, UsageError) and "the checkpoint has no chat template" in str(error)
