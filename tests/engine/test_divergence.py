"""Distributions of base and checkpoint through the whole pipeline, on tiny models."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from forgetbench.engine import lazy_model
from forgetbench.engine.results import Result, read_samples
from forgetbench.engine.run import Request, evaluate, prepare, prepare_selftest, selftest
from forgetbench.errors import UsageError
from forgetbench.models.causal_lm import CausalLM
from forgetbench.models.checkpoint import resolve_component
from forgetbench.schema.comparison import Row
from forgetbench.schema.run import LoadSettings, Settings
from tiny_models import make_lora
from tiny_speech_models import CTC, SEQ2SEQ, make_wav2vec2, speech_like
from tiny_tasks import WORDS, pair_rows, write_speech, write_task

Ask = Callable[..., Request]
MARGIN = {"margin": 0.02, "role": "distribution", "metrics": ["kl"], "primary": "kl"}


@pytest.fixture
def texts(tiny_tasks: Path) -> Path:
    """Adds ``texts`` (longer than the models' window of 64), ``replies`` and ``frames``."""
    rows = [{"id": f"t{i}", "text": " ".join(WORDS[i:] * 4)} for i in range(20)]
    write_task(tiny_tasks, "texts", rows, kind="divergence", **MARGIN)
    chat = {"prompt": "{prompt}", "chat_template": True}
    write_task(tiny_tasks, "replies", pair_rows(24), kind="divergence", **chat, **MARGIN)
    write_task(tiny_tasks, "frames", write_speech(tiny_tasks), kind="speech_divergence", **MARGIN)
    return tiny_tasks


def run(request: Request) -> Result:
    return evaluate(prepare(request))


def rows_of(result: Result) -> dict[str, Row]:
    assert result.comparison is not None
    return {row.name: row for row in result.comparison.rows}


def value(result: Result, arm_name: str, task: str, metric: str) -> float:
    document = result.base if arm_name == "base" else result.checkpoint
    assert document is not None
    found = next(t for t in document.tasks if t.name == task).metrics[metric].value
    assert found is not None
    return found


def test_kl_equals_that_of_all_logits_at_once(made: Path, ask: Ask, texts: Path) -> None:
    result = run(ask(made / "lora", "texts"))
    base, checkpoint = (
        CausalLM.load(resolve_component(str(made / name)), LoadSettings()) for name in ("llama", "lora")
    )
    kl, n = 0.0, 0
    for i in range(20):
        tokens = base.encode(" ".join(WORDS[i:] * 4), rendered=False)
        whole = tokens if tokens[0] == 0 else [0, *tokens]
        first, n_text = 1, len(whole)
        while first < n_text:
            last = min(first + 64, n_text)
            inputs = torch.tensor([whole[first - 1 : last - 1]])
            with torch.inference_mode():
                p, q = (torch.log_softmax(m.model(inputs).logits[0].double(), -1) for m in (base, checkpoint))
            kl += float((p.exp() * (p - q)).sum())
            n += last - first
            first = last
    assert n > 20 * 64
    assert value(result, "checkpoint", "texts", "kl") == pytest.approx(kl / n, rel=1e-4)
    samples = read_samples(result.directory, result.checkpoint)["texts"]
    assert samples["kl.den"].sum() == n


def test_the_row_is_shown_in_a_family_of_its_own_and_does_not_gate(made: Path, ask: Ask, texts: Path) -> None:
    result = run(ask(made / "lora", "texts,choices"))
    assert result.comparison is not None
    row = rows_of(result)["texts"]
    assert (row.role, row.metric, row.base, row.verdict) == ("distribution", "kl", 0.0, "regressed")
    assert row.checkpoint == row.degradation and row.relative_forgetting is None
    assert result.comparison.family_size == 1
    assert row.level == pytest.approx(0.95)
    assert "texts" not in result.comparison.summary
    assert not [loss for loss in result.comparison.worst_losses if loss.task == "texts"]


def test_both_arms_report_loss_agreement_and_perplexity(made: Path, ask: Ask, texts: Path) -> None:
    result = run(ask(made / "lora", "texts"))
    assert result.comparison is not None
    for side in ("base", "checkpoint"):
        kl, loss = (value(result, side, "texts", name) for name in ("kl", "forgetting_loss"))
        assert loss - kl == pytest.approx(value(result, "base", "texts", "forgetting_loss"), abs=1e-5)
    assert value(result, "base", "texts", "top1_agreement") == 1
    assert value(result, "checkpoint", "texts", "top1_agreement") < 1
    beside = {metric.metric: metric for metric in result.comparison.beside if metric.task == "texts"}
    perplexity, nll = beside["perplexity"], beside["token_nll"]
    assert perplexity.checkpoint == pytest.approx(2.718281828 ** (nll.checkpoint or 0), rel=1e-6)
    assert perplexity.base != perplexity.checkpoint


def test_the_target_reports_its_forward_kl_beside_it(made: Path, ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(f'{{"prompt": "say {w}", "answer": "{w} it is"}}\n' for w in WORDS * 2))
    rows = rows_of(run(ask(made / "lora", "choices", target=file)))
    assert rows["target_divergence"].role == "distribution"
    assert (rows["target_divergence"].degradation or 0) > 0
    assert rows["target"].level == rows["target_likelihood"].level == pytest.approx(0.975)


def test_an_answer_of_a_users_own_test_set_may_be_a_number(made: Path, ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "sums.jsonl"
    file.write_text(
        "".join(f'{{"prompt": "half more than {i}", "answer": {i + 0.5 * (i % 2)}}}\n' for i in range(24))
    )
    rows = rows_of(run(ask(made / "lora", "choices", target=file)))
    assert {"target", "target_likelihood", "target_divergence"} < rows.keys()


def test_of_prompts_only_the_answers_are_scored(made: Path, ask: Ask, texts: Path) -> None:
    result = run(ask(made / "lora", "replies,answers"))
    samples = read_samples(result.directory, result.checkpoint)
    model = CausalLM.load(resolve_component(str(made / "llama")), LoadSettings())
    answers = [len(model.encode(row["answer"], rendered=True)) for row in pair_rows(24)]
    assert samples["replies"].sort_values("id")["kl.den"].sum() == sum(answers)
    nll = samples["replies"].set_index("id")["token_nll.num"]
    bits = samples["answers"].set_index("id")["bits_per_byte.num"]
    assert nll.to_dict() == pytest.approx((bits * 0.693147180559945).to_dict(), rel=1e-3)


def test_a_checkpoint_against_itself_does_not_diverge(made: Path, ask: Ask, texts: Path) -> None:
    result = selftest(prepare_selftest(ask(made / "llama", "texts,replies")))
    assert result.comparison is not None
    assert {row.degradation for row in result.comparison.rows} == {0.0}


def test_a_copy_in_another_directory_does_not_diverge(
    made: Path, ask: Ask, texts: Path, tmp_path: Path
) -> None:
    still = make_lora(tmp_path / "still", made / "llama", zero=True)
    result = run(ask(still, "texts"))
    assert value(result, "checkpoint", "texts", "kl") < 1e-6


def test_an_adapter_is_loaded_once_and_a_second_run_loads_nothing(
    made: Path, ask: Ask, texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    for module, name in ((lazy_model, "load"), (lazy_model, "load_pair")):
        original = getattr(module, name)

        def counting(*given: Any, _name: str = name, _original: Any = original, **named: Any) -> Any:
            loaded.append(_name)
            return _original(*given, **named)

        monkeypatch.setattr(module, name, counting)
    first = run(ask(made / "lora", "texts,choices"))
    assert loaded == ["load", "load_pair", "load"]
    again = run(ask(made / "lora", "texts,choices", output=texts.parent / "elsewhere"))
    assert loaded == ["load", "load_pair", "load"]
    assert first.comparison == again.comparison


def test_another_base_is_another_answer(made: Path, ask: Ask, texts: Path) -> None:
    own = run(ask(made / "lora", "texts"))
    other = run(ask(made / "lora", "texts", base=str(made / "other")))
    assert value(own, "checkpoint", "texts", "kl") != value(other, "checkpoint", "texts", "kl")


def test_without_a_base_it_is_skipped(made: Path, ask: Ask, texts: Path) -> None:
    document = run(ask(made / "llama", "texts,choices")).checkpoint
    (task,) = (task for task in document.tasks if task.name == "texts")
    assert (task.status, task.reason) == ("skipped", "there is no base to compare distributions with")


def test_different_vocabularies_are_a_skipped_task(
    made: Path, ask: Ask, texts: Path, copy: Callable[..., Path]
) -> None:
    swapped = copy("other")
    path = swapped / "tokenizer.json"
    path.write_text(path.read_text().replace('"</s>"', '"<end>"'))
    config = swapped / "tokenizer_config.json"
    config.write_text(config.read_text().replace('"</s>"', '"<end>"'))
    result = run(ask(swapped, "texts,choices", base=str(made / "llama")))
    assert result.comparison is not None
    (line,) = (line for line in result.comparison.not_measured if line.startswith("texts"))
    assert "token 1 is '</s>' in the base, '<end>' in the checkpoint" in line
    with pytest.raises(UsageError, match="a task was skipped"):
        prepare(ask(swapped, "texts,choices", base=str(made / "llama"), strict=True))


def test_added_tokens_are_left_out_of_both_sides(made: Path, ask: Ask, texts: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(made / "llama")
    tokenizer = AutoTokenizer.from_pretrained(made / "llama")
    tokenizer.add_tokens(["<new>"], special_tokens=True)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.save_pretrained(tmp_path / "grown")
    tokenizer.save_pretrained(tmp_path / "grown")
    result = run(ask(tmp_path / "grown", "texts", base=str(made / "llama")))
    assert value(result, "checkpoint", "texts", "kl") < 1e-6


@pytest.mark.parametrize("name", ["wav2vec2-base", "wav2vec2-large", "speech2text", "moonshine", "speecht5"])
def test_recognisers_diverge_by_frame_or_by_token(
    ask: Ask, texts: Path, speech_models: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    from transformers import AutoModelForCTC, AutoModelForSpeechSeq2Seq

    base = speech_models(name)
    changed = Path(shutil.copytree(base, tmp_path / "changed"))
    auto = AutoModelForCTC if name in CTC else AutoModelForSpeechSeq2Seq
    model = auto.from_pretrained(base)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    model.save_pretrained(changed)
    result = run(ask(changed, "frames", base=str(base)))
    row = rows_of(result)["frames"]
    assert row.n == 24 and (row.degradation or 0) > 0
    by_token = "token_nll" in result.checkpoint.tasks[0].metrics
    assert by_token == (name in SEQ2SEQ)
    assert rows_of(selftest(prepare_selftest(ask(base, "frames"))))["frames"].degradation == 0


def test_kl_of_ctc_is_the_mean_over_all_frames(
    ask: Ask, texts: Path, speech_models: Callable[[str], Path], tmp_path: Path
) -> None:
    """Straight from transformers' logits; a long recording counts with the frames that are kept of it."""
    from scipy.special import log_softmax, rel_entr

    from forgetbench.models.load import load

    base, other = speech_models("wav2vec2-large"), tmp_path / "other"
    make_wav2vec2(other, norm="layer", seed=7)
    result = run(ask(other, "frames", base=str(base)))
    models: list[Any] = [load(resolve_component(str(path)), LoadSettings()) for path in (base, other)]
    kl, n = 0.0, 0
    for row in write_speech(tmp_path):
        clip, rate = soundfile.read(tmp_path / row["audio"], dtype="float32")
        with torch.inference_mode():
            p, q = (
                log_softmax(
                    m.model(
                        **m.extractor(clip, sampling_rate=rate, return_tensors="pt")
                    ).logits[0].double().numpy(), axis=-1
                )
                for m in models
            )  # fmt: skip
        kl, n = kl + float(rel_entr(np.exp(p), np.exp(q)).sum()), n + len(p)
    assert value(result, "checkpoint", "frames", "kl") == pytest.approx(kl / n, rel=1e-3)
    assert "perplexity" not in {metric.metric for metric in result.comparison.beside}  # type: ignore[union-attr]
    long = models[0].predict_speech(speech_like(1, 41.0), (), language="en")
    assert long.n_positions == sum(map(len, models[0]._stitched(speech_like(1, 41.0).samples)))


def test_whisper_diverges_by_token_and_its_lora_is_loaded_once(
    made: Path, ask: Ask, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import WhisperForConditionalGeneration

    torch.manual_seed(3)
    config = LoraConfig(r=2, lora_alpha=8, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    base = WhisperForConditionalGeneration.from_pretrained(made / "whisper")
    get_peft_model(base, config).save_pretrained(tmp_path / "whisper-lora")
    result = run(ask(tmp_path / "whisper-lora", "frames"))
    assert result.checkpoint.tasks[0].status == "done"
    assert value(result, "checkpoint", "frames", "kl") > 0

    from forgetbench.models.whisper import WhisperRecogniser

    model = WhisperRecogniser.load(resolve_component(str(made / "whisper")), LoadSettings())
    clip = speech_like(0, 1.0)
    tokens = model.transcript_tokens("cat", language="en")
    found = model.predict_speech(clip, tokens, language="en")
    prompt = model._prompt("en")
    with torch.inference_mode():
        logits = model.model(
            input_features=model._features([clip.samples]),
            decoder_input_ids=torch.tensor([[*prompt, *tokens]]),
        ).logits[0, len(prompt) - 1 :]
    expected = torch.log_softmax(logits, -1).numpy()
    assert np.allclose(found.logprobs(0, found.n_positions, n_tokens=found.n_tokens), expected, atol=1e-4)
    assert found.targets == (*tokens, model._special.end)


def test_what_does_not_fit_into_one_window_drops_the_pair(
    made: Path, speech_models: Callable[[str], Path]
) -> None:
    from forgetbench.errors import SampleError
    from forgetbench.models.load import load

    whisper: Any = load(resolve_component(str(made / "whisper")), LoadSettings())
    moonshine: Any = load(resolve_component(str(speech_models("moonshine"))), LoadSettings())
    for model, seconds in ((whisper, 3.0), (moonshine, 31.0)):
        with pytest.raises(SampleError, match="longer than"):
            model.predict_speech(speech_like(0, seconds), (1,), language="en")
        with pytest.raises(SampleError, match="tokens"):
            model.transcript_tokens("word " * 200, language="en")


def test_half_precision_has_its_own_cache_and_still_equals_itself(made: Path, ask: Ask, texts: Path) -> None:
    settings = Settings(load=LoadSettings(dtype="bfloat16"))
    result = selftest(prepare_selftest(ask(made / "llama", "texts", settings=settings)))
    assert rows_of(result)["texts"].degradation == 0
