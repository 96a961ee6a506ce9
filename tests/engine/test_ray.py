"""A Ray cluster gives the local engine's documents: for any number of workers, shards and orders."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from forgetbench.engine import ray_engine
from forgetbench.engine.progress import Progress, Silent
from forgetbench.engine.question import Question
from forgetbench.engine.ray_engine import RayWorkers, ray_workers
from forgetbench.engine.results import Result
from forgetbench.engine.run import Request, evaluate, open_questions, prepare, prepare_each
from forgetbench.errors import UsageError
from forgetbench.schema.run import LoadSettings, Sampling, Settings
from forgetbench.schema.task import Condition
from ray_runs import a_ray, asked, assert_same
from tiny_models import make_whisper
from tiny_tasks import WORDS, write_task, write_tiny_tasks

Ask = Callable[..., Request]
TEXT = "choices,answers,short,refusals,leaning"


@pytest.fixture(scope="module")
def four_cpus() -> Iterator[None]:
    """A Ray that believes in four CPUs."""
    with a_ray(4):
        yield


@pytest.fixture(scope="session")
def other_ears(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_whisper(tmp_path_factory.mktemp("ears") / "whisper", seed=1)


@pytest.fixture(scope="module")
def system(made: Path, other_ears: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Recogniser and language model in both arms, and every kind of text task, speech and distributions."""
    folder = tmp_path_factory.mktemp("system")
    tasks = write_tiny_tasks(folder / "tasks")
    rows = [{"id": f"t{i}", "text": " ".join(WORDS[i:] * 4)} for i in range(20)]
    how = {"margin": 0.02, "role": "distribution", "metrics": ["kl"], "primary": "kl"}
    write_task(tasks, "texts", rows, kind="divergence", **how)
    return {
        "model": f"asr={other_ears},lm={made / 'lora'}",
        "base": f"asr={made / 'whisper'},lm={made / 'llama'}",
        "tasks": f"{TEXT},heard,texts".split(","),
        "include_paths": [tasks],
        "offline": True,
        "settings": Settings(batch_size=4),
    }


@pytest.fixture(scope="module")
def local(system: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The system's result by the local engine."""
    folder = tmp_path_factory.mktemp("local")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORGETBENCH_CACHE", str(folder / "cache"))
        return evaluate(prepare(Request(output=folder / "results", **system)))


class Shuffled(RayWorkers):
    """Is asked everything in another order."""

    def ask(self, questions: Sequence[Question], progress: Progress) -> None:
        mixed = list(questions)
        random.Random(7).shuffle(mixed)
        super().ask(mixed, progress)


def elsewhere(request: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str = "ray") -> Result:
    """Run a request on workers, with another cache and another folder of results."""
    monkeypatch.setenv("FORGETBENCH_CACHE", str(tmp_path / f"cache-{name}"))
    prepared = prepare(request)
    with ray_workers() as workers:
        return evaluate(prepared, workers=workers)


@pytest.mark.usefixtures("four_cpus")
def test_text_speech_and_distributions_are_those_of_the_local_engine(
    local: Result, system: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = elsewhere(Request(output=tmp_path / "ray", **system), tmp_path, monkeypatch)
    assert {task.status for task in there.checkpoint.tasks} == {"done"}
    assert_same(local, there)
    measured = there.checkpoint.measured["tasks"]
    assert measured["choices"]["samples_computed"] == 30 and measured["choices"]["seconds"] > 0


@pytest.mark.slow
@pytest.mark.usefixtures("four_cpus")
@pytest.mark.parametrize(
    ("cpus", "units", "kind"),
    [(4, 1, RayWorkers), (2, 1, RayWorkers), (1, 100, RayWorkers), (1, 3, Shuffled)],
)
def test_the_number_of_workers_and_shards_and_their_order_change_nothing(
    local: Result, system: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    cpus: int, units: int, kind: type[RayWorkers],
) -> None:  # fmt: skip
    monkeypatch.setattr("forgetbench.engine.placement.PARAMETERS_PER_CPU", 1.0)  # so that MOST_CPUS decides
    monkeypatch.setattr("forgetbench.engine.placement.MOST_CPUS", cpus)
    monkeypatch.setattr(ray_engine, "UNITS_PER_WORKER", units)
    monkeypatch.setattr(ray_engine, "RayWorkers", kind)
    there = elsewhere(Request(output=tmp_path / "ray", **system), tmp_path, monkeypatch)
    assert_same(local, there)


@pytest.mark.slow
@pytest.mark.usefixtures("four_cpus")
@pytest.mark.parametrize("base", [("ears", "head", "clean"), ("deafer", "duller", "clean")])
def test_chains_of_models_and_returned_audio_are_those_of_the_local_engine(
    base: Sequence[str],
    parts: Callable[..., str],
    ask_spoken: Ask,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the second base, both arms ask one recogniser and one language model, each its own questions."""
    arms = parts("deafer", "duller", "mute"), parts(*base)
    how = {"conditions": [Condition(noise="babble", snr_db=5)], "settings": Settings(batch_size=7)}
    local = evaluate(prepare(ask_spoken(*arms, "questions,requests", **how)))
    request = ask_spoken(*arms, "questions,requests", output=tmp_path / "ray", **how)
    assert_same(local, elsewhere(request, tmp_path, monkeypatch))


@pytest.mark.slow
@pytest.mark.usefixtures("four_cpus")
def test_drawn_answers_and_adapters_at_several_parts_are_those_of_the_local_engine(
    made: Path, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(batch_size=4, repeats=2, sampling=Sampling(temperature=0.7))
    alphas = [0.5, 1.0]
    request = ask(made / "lora", "short,choices", settings=settings)
    local = [evaluate(one) for one in prepare_each(request, [request.model], alphas=alphas)]
    monkeypatch.setenv("FORGETBENCH_CACHE", str(tmp_path / "cache-ray"))
    request = ask(made / "lora", "short,choices", settings=settings, output=tmp_path / "ray")
    everything = prepare_each(request, [request.model], alphas=alphas)
    with ray_workers() as workers:
        workers.ask(open_questions(everything), Silent())
        there = [evaluate(one, workers=workers) for one in everything]
    for one, other in zip(local, there, strict=True):
        assert_same(one, other)


@pytest.mark.usefixtures("four_cpus")
def test_checkpoints_of_one_base_ask_it_once_and_a_second_time_nothing_is_asked(
    ask: Ask, logging_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_engine, "UNITS_PER_WORKER", 100)
    source = (logging_model / "logging_model.py").read_text()
    source += "\ndef second():\n    return Model('second')\n"
    source += "import torch\n(HERE / 'threads').write_text(str(torch.get_num_threads()))\n"
    (logging_model / "logging_model.py").write_text(source)
    names = ["logging_model:checkpoint", "logging_model:second"]
    request = ask(names[0], "choices", base="logging_model:base", settings=Settings(batch_size=4))
    everything = prepare_each(request, names)
    with ray_workers() as workers:
        results = [evaluate(one, workers=workers) for one in everything]
    questions = asked(logging_model)
    assert len(questions) == len(set(questions)) == 3 * 30
    assert (logging_model / "threads").read_text() == "1", "a worker takes more than the CPU that it reserves"
    again = [evaluate(one) for one in prepare_each(request, names)]
    assert len(asked(logging_model)) == 90
    for one, other in zip(results, again, strict=True):
        assert_same(one, other)


@pytest.mark.usefixtures("four_cpus")
def test_answers_at_a_url_are_not_asked_again_from_another_machine(
    ask: Ask, logging_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORGETBENCH_CACHE", f"file://{tmp_path}/shared")
    results = []
    for machine in ("one", "two"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / machine))
        how = {"base": "logging_model:base", "output": tmp_path / f"results-{machine}"}
        prepared = prepare(ask("logging_model:checkpoint", "choices", **how))
        with ray_workers() as workers:
            results.append(evaluate(prepared, workers=workers))
    assert len(asked(logging_model)) == 60
    assert_same(*results)


@pytest.mark.usefixtures("four_cpus")
def test_a_checkpoint_that_cannot_be_loaded_is_told_as_the_local_engine_tells_it(
    made: Path, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ask(made / "lora", "choices", settings=Settings(load=LoadSettings(dtype="int3")))
    told = []
    for name in ("local", "ray"):
        with pytest.raises(UsageError) as error:
            if name == "local":
                evaluate(prepare(request))
            else:
                elsewhere(request, tmp_path, monkeypatch)
        told.append(str(error.value))
    assert told[0] == told[1] and "--dtype int3" in told[0]
