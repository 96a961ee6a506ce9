"""Each recipe once on a real model: does it train, what did the target gain, and how far did the rest move?

SmolLM2-135M-Instruct learns to answer hearing-aid wearers, Whisper tiny.en commands in babble, the small
enhancer to clean speech; a few steps each, then a few samples of the target and of everyday text or speech.
It says that a method runs and learns, not which is best: that is for a sweep over seeds (results/README.md).

    python benchmarks/every_recipe.py [--only dpo,grpo] [--steps 16] [--output DIR] [--json]

QLoRA needs bitsandbytes and is left out without it. A recipe whose target did not get better is named, with
exit code 1.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
MINI = ROOT / "tasks" / "hearing" / "mini" / "data"
CARE, COMMANDS = MINI / "hearing_care_train.jsonl", MINI / "commands_train.jsonl"
SAFETY = ROOT / "tasks" / "safety" / "mini" / "data" / "safety_train.jsonl"
EVERYDAY = ROOT / "tasks" / "retention" / "mini" / "data" / "everyday_train.jsonl"
SMOLLM, WHISPER, ENHANCER = "HuggingFaceTB/SmolLM2-135M-Instruct", "openai/whisper-tiny.en", "small-enhancer"
TASKS = {
    SMOLLM: ("hearing_care_mini", "divergence_mini"),
    WHISPER: ("commands_babble_mini", "everyday_speech_divergence_mini"),
    ENHANCER: ("speech_in_noise_enhanced_mini",),
}
LIMITS = {SMOLLM: 24, WHISPER: 12, ENHANCER: 12}
BABBLE = {"kind": "babble", "snr_db": [15, 10, 5]}


class Case(NamedTuple):
    """A recipe, its base, and what is other than its file says."""

    label: str
    recipe: str
    model: str
    data: Path
    fields: dict[str, Any]


def cases(folder: Path) -> Iterator[Case]:
    """Yield what is tried, those that a later one learns from first."""
    yield Case("full", "full", SMOLLM, CARE, {"learning_rate": 2e-5})
    yield Case("LoRA", "lora", SMOLLM, CARE, {})
    yield Case("rsLoRA", "lora", SMOLLM, CARE, {"rslora": True, "rank": 64})
    yield Case("QLoRA", "lora", SMOLLM, CARE, {"load_in_4bit": True})
    yield Case("IA3", "peft", SMOLLM, CARE, {})
    for label, peft_type in (("prompt tuning", "PROMPT_TUNING"), ("prefix tuning", "PREFIX_TUNING")):
        virtual = {"peft_type": peft_type, "num_virtual_tokens": 8}
        many = {"steps": 64}  # it begins at random, and far from the base
        yield Case(label, "peft", SMOLLM, CARE, {"learning_rate": 0.05, "peft": virtual, **many})
    teacher = str(folder / "full-smollm")
    yield Case("distillation", "distillation", SMOLLM, CARE, {"teacher": teacher})
    yield Case("sdft-rewrite", "sdft-rewrite", SMOLLM, CARE, {})
    quick = {"learning_rate": 1e-3}  # ten times the recipe's: so few steps would show nothing
    yield Case("DPO", "dpo", SMOLLM, folder / "preferences.jsonl", quick)
    yield Case("GRPO", "grpo", SMOLLM, CARE, quick)
    yield Case("full + L2", "full", SMOLLM, CARE, {"learning_rate": 2e-5, "l2_to_base": 0.1})
    ewc = {"ewc": 1.0, "ewc_data": str(EVERYDAY)}
    yield Case("full + EWC", "full", SMOLLM, CARE, {"learning_rate": 2e-5, **ewc})
    replay = {"replay": {"data": str(EVERYDAY), "share": 0.25}}
    yield Case("full + replay", "full", SMOLLM, CARE, {"learning_rate": 2e-5, **replay})
    safety = {"safety": {"data": str(SAFETY), "share": 0.1}}
    yield Case("full + safety", "full", SMOLLM, CARE, {"learning_rate": 2e-5, **safety})
    noisy = {"noise": BABBLE}
    yield Case("full", "full", WHISPER, COMMANDS, noisy | {"learning_rate": 2e-5})
    yield Case("LoRA", "lora", WHISPER, COMMANDS, noisy)
    yield Case("IA3", "peft", WHISPER, COMMANDS, noisy)
    heard = {"teacher": str(folder / "full-whisper")}
    yield Case("distillation", "distillation", WHISPER, COMMANDS, noisy | heard)
    yield Case("pseudo-labels", "pseudo-label", WHISPER, COMMANDS, noisy)
    yield Case("full", "full", ENHANCER, COMMANDS, {})


def run(case: Case, folder: Path, steps: int) -> dict[str, Any]:
    """Train, measure, and return the figures of a line."""
    from forgetbench.api.evaluate import evaluate
    from forgetbench.models.recipe_facts import read_facts
    from forgetbench.recipes.base import checkpoint_name, locate_base
    from forgetbench.recipes.contamination import check_contamination
    from forgetbench.recipes.make import make_recipe
    from forgetbench.recipes.run import run_recipe

    family = {SMOLLM: "smollm", WHISPER: "whisper", ENHANCER: "enhancer"}[case.model]
    output = folder / f"{case.label.lower().replace(' ', '-')}-{family}"
    more = {"steps": steps * 8 if case.model == ENHANCER else steps, **case.fields}
    recipe = make_recipe(case.recipe, model=case.model, data=str(case.data), output=str(output), **more)
    found = check_contamination(recipe, TASKS[case.model])
    start = time.perf_counter()
    run_recipe(recipe, contamination=found)
    seconds = time.perf_counter() - start
    facts = read_facts(output)
    first = read_facts(output / f"checkpoint-{recipe.saved[0]}")
    assert facts is not None and first is not None
    result = evaluate(
        checkpoint_name(output, recipe.family),
        base=checkpoint_name(locate_base(case.model).path, "enhancer") if case.model == ENHANCER else None,
        tasks=TASKS[case.model],
        limit=LIMITS[case.model],
        output=folder / "results",
        offline=True,
    )
    assert result.comparison is not None
    rows = {row.name: row for row in result.comparison.rows}
    target, *moved = (rows[name] for name in TASKS[case.model])
    return {
        "recipe": case.label,
        "base": case.model,
        "steps": recipe.steps,
        "trained_parameters": facts.trained_parameters,
        "training_s": round(seconds, 1),
        "target_loss": [first.target_loss, facts.target_loss],
        "reward": facts.reward,
        "target": {
            "task": target.name,
            "metric": target.metric,
            "base": target.base,
            "checkpoint": target.checkpoint,
        },
        "gain": None if target.degradation is None else -target.degradation,
        "kl": moved[0].checkpoint if moved else None,
    }


def write_preferences(path: Path) -> None:
    """Write pairs for DPO: the answer to a question is preferred to the answer to another."""
    rows = [json.loads(line) for line in CARE.read_text(encoding="utf-8").splitlines()]
    pairs = [
        {"id": row["id"], "prompt": row["prompt"], "chosen": row["answer"], "rejected": other["answer"]}
        for row, other in zip(rows, rows[1:] + rows[:1], strict=True)
    ]
    path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")


def line_of(found: dict[str, Any]) -> str:
    """Return a line of the table in docs/recipes.md."""

    def shown(value: float | None) -> str:
        return "" if value is None else f"{value:.3f}"

    loss, target = found["target_loss"], found["target"]
    cells = [
        found["recipe"], found["base"], f"{found['trained_parameters']:,}".replace(",", " "),
        f"{found['steps']}, {found['training_s']:.0f} s", " → ".join(map(shown, loss)),
        f"{target['metric']} {shown(target['base'])} → {shown(target['checkpoint'])}", shown(found["kl"]),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Run each, print a line for each, and exit 1 where a target did not get better."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help="labels or bases, parted by commas")
    parser.add_argument(
        "--steps", type=int, default=16, help="of training; eight times as many for the enhancer"
    )
    parser.add_argument("--output", type=Path, help="keep checkpoints and results there")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    wanted = set(options.only.lower().split(",")) if options.only else None
    with tempfile.TemporaryDirectory(prefix="forgetbench-recipes-") as temporary:
        folder = options.output or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        write_preferences(folder / "preferences.jsonl")
        lines = []
        for case in cases(folder):
            if wanted and wanted.isdisjoint({case.label.lower(), case.model.lower()}):
                continue
            if case.label == "QLoRA" and importlib.util.find_spec("bitsandbytes") is None:
                print("QLoRA: left out, bitsandbytes is not installed", file=sys.stderr)
                continue
            lines.append(run(case, folder, options.steps))
            print(line_of(lines[-1]), file=sys.stderr if options.json else sys.stdout, flush=True)
    if options.json:
        print(json.dumps(lines, indent=2))
    worse = [f"{line['recipe']} of {line['base']}" for line in lines if not (line["gain"] or 0) > 0]
    print(f"no gain: {', '.join(worse)}" if worse else "all gained", file=sys.stderr)
    sys.exit(bool(worse))


if __name__ == "__main__":
    main()
