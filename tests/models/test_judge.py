"""Judges that are models, tiny and random: what they read, what they say, and what they cannot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from forgetbench.errors import CheckpointError
from forgetbench.models.interface import GenerateRequest, Loglikelihood, Output, ScoreRequest
from forgetbench.models.judge import (
    CONVERSATION,
    ChatJudge,
    Exchange,
    Verdict,
    fill,
    load_judge,
    parse_verdict,
    resolve_judge,
)
from forgetbench.schema.run import LoadSettings
from tiny_judges import make_classifier

ANSWERS = [
    Exchange("what did the dog sit on", "the log"),
    Exchange("what did the cat forget", "I cannot say what a cat forgets, for nobody was there to hear it"),
    Exchange("help", ""),
]
CLASSES = ("complied", "refused", "partial", "degenerate")


class Parrot:
    """A text model that always replies the same and remembers what it was asked."""

    chat_template = "t"

    def __init__(self, reply: str) -> None:
        self.reply, self.asked = reply, list[GenerateRequest]()

    def render_chat(self, user: str, *, template: str | None = None) -> str | None:
        return f"<u>{user}</u>"

    def first_token_ids(self, text: str, *, rendered: bool) -> tuple[int, ...]:
        return ()

    def score_text(self, requests: Sequence[ScoreRequest]) -> list[Loglikelihood]:
        raise NotImplementedError

    def generate(self, requests: Sequence[GenerateRequest]) -> list[Output]:
        self.asked += requests
        return [Output(text=self.reply, n_tokens=1, truncated=False) for _ in requests]


def test_a_classifier_says_the_likeliest_label_whatever_the_company_in_the_batch(tmp_path: Path) -> None:
    source = resolve_judge(f"classifier:{make_classifier(tmp_path / 'c', CLASSES)}", offline=True)
    judge = load_judge(source, LoadSettings())
    many = [Exchange(f"what about {i}", "the cat sat " * (i % 7)) for i in range(40)]
    together = judge.judge(many)
    assert together == [judge.judge([exchange])[0] for exchange in many]
    assert {verdict.judgement for verdict in together} <= set(CLASSES)
    assert len({verdict.judgement for verdict in together}) > 1


def test_labels_of_other_names_are_mapped_or_asked_for(tmp_path: Path) -> None:
    folder = make_classifier(tmp_path / "c", ["NORMAL", "REJECTION"])
    with pytest.raises(CheckpointError, match=r"'NORMAL' stands for no class.*judge_labels"):
        resolve_judge(f"classifier:{folder}", offline=True)
    labels = {"NORMAL": "complied", "REJECTION": "refused"}
    source = resolve_judge(f"classifier:{folder}", labels=labels, template="{answer}", offline=True)  # type: ignore[arg-type]
    said = load_judge(source, LoadSettings()).judge(ANSWERS)
    assert {verdict.judgement for verdict in said} <= {"complied", "refused"}


def test_the_template_decides_what_a_classifier_reads(tmp_path: Path) -> None:
    name = f"regressor:{make_classifier(tmp_path / 'r', ['harm'])}"
    pairs = [Exchange("one question", "the log"), Exchange("another one, longer", "the log")]
    answer_only, both = (
        load_judge(resolve_judge(name, template=template, offline=True), LoadSettings()).judge(pairs)
        for template in ("{answer}", None)
    )
    assert answer_only[0] == answer_only[1]
    assert both[0] != both[1]


def test_a_regressor_says_a_number_within_0_and_4(tmp_path: Path) -> None:
    source = resolve_judge(f"regressor:{make_classifier(tmp_path / 'r', ['harm'])}", offline=True)
    judge = load_judge(source, LoadSettings())
    values = [verdict.harmfulness for verdict in judge.judge(ANSWERS)]
    assert all(value is not None and 0 <= value <= 4 for value in values)
    assert all(verdict.judgement is None for verdict in judge.judge(ANSWERS))


def test_a_classifier_is_no_regressor(tmp_path: Path) -> None:
    folder = make_classifier(tmp_path / "c", CLASSES)
    with pytest.raises(CheckpointError, match="several outputs"):
        resolve_judge(f"regressor:{folder}", offline=True)


def test_the_fingerprint_of_a_judge_is_of_its_content(tmp_path: Path) -> None:
    first, other = (
        resolve_judge(f"classifier:{make_classifier(tmp_path / n, CLASSES, seed=s)}", offline=True)
        for n, s in (("a", 0), ("b", 1))
    )
    again = resolve_judge(f"classifier:{make_classifier(tmp_path / 'c', CLASSES)}", offline=True)
    assert first.component.fingerprint == again.component.fingerprint != other.component.fingerprint


def test_a_causal_model_is_no_classifier_and_a_classifier_no_chat_model(made: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="LlamaForCausalLM"):
        resolve_judge(f"classifier:{made / 'llama'}", offline=True)
    with pytest.raises(CheckpointError, match="ForSequenceClassification"):
        resolve_judge(f"chat:{make_classifier(tmp_path / 'c', CLASSES)}", offline=True)


def test_a_judge_that_is_not_here_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"org/no-such-judge.*hf download"):
        resolve_judge("classifier:org/no-such-judge", offline=True)


@pytest.mark.parametrize("judgement", CLASSES)
def test_a_reply_of_one_class_is_a_verdict(judgement: str) -> None:
    judge = ChatJudge(Parrot(f" Verdict: {judgement.upper()}.\n"))
    assert judge.judge(ANSWERS[:1]) == [Verdict(judgement=judgement)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "reply",
    ["", "refused", "VERDICT: refused or complied", "VERDICT: maybe", "I say VERDICT: refused", "VERDICT:"],
)
def test_any_other_reply_is_none(reply: str) -> None:
    assert parse_verdict(reply) is None
    assert ChatJudge(Parrot(reply)).judge(ANSWERS) == [Verdict()] * 3


def test_a_chat_judge_gets_rubric_request_and_answer_under_its_template() -> None:
    parrot = Parrot("VERDICT: refused")
    ChatJudge(parrot).judge(ANSWERS)
    for request, exchange in zip(parrot.asked, ANSWERS, strict=True):
        assert request.rendered and request.prompt.startswith("<u>")
        assert f"<request>\n{exchange.prompt}\n</request>" in request.prompt
        assert f"<answer>\n{exchange.answer}\n</answer>" in request.prompt


def test_what_was_answered_is_never_a_template() -> None:
    exchange = Exchange("{answer}", "{prompt} {0} {prompt.__class__}")
    assert fill(CONVERSATION, exchange) == "\n\nHuman: {answer}\n\nAssistant: {prompt} {0} {prompt.__class__}"


def test_a_real_chat_model_judges_without_failing(made: Path) -> None:
    judge = load_judge(resolve_judge(f"chat:{made / 'llama'}", offline=True), LoadSettings())
    assert judge.judge(ANSWERS) == [Verdict()] * 3


def test_a_task_file_names_no_python_code_as_its_judge(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="Python code, which a task file cannot name") as found:
        resolve_judge("chat:os:getcwd", folder=tmp_path, offline=True)
    assert "plug-in" in str(found.value) and "--trust-remote-code" not in str(found.value)


def test_a_judge_is_looked_up_beside_the_task_file_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_classifier(tmp_path / "task" / "judge", CLASSES)
    monkeypatch.chdir(tmp_path)
    found = resolve_judge("classifier:./judge", folder=tmp_path / "task", offline=True)
    assert found.component.path == (tmp_path / "task" / "judge").resolve()
