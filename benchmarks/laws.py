"""Do the laws of forgetting hold beyond the runs that they were fitted on? Prints the tables of docs/laws.md.

1. Data made from Kalajdzievski's constants (arXiv 2401.05605) with noise of σ = .005 nats: fitted on ranks to
   64 and steps to 160, predicted at rank 256 and step 260.
2. Biderman's checkpoints (arXiv 2405.09673): fitted without the largest.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from forgetbench.forgetting.law_choice import Split, compare_laws, last_value, predict_held_out, split_largest
from forgetbench.forgetting.law_fit import Fit
from forgetbench.forgetting.laws import LAWS, Observations, joint_power_law, observations

PUBLISHED: dict[str, Any] = json.loads(Path(__file__).with_name("published_laws.json").read_text())
NOISE_NATS = 0.005
RANKS, STEPS = (8, 16, 32, 64), tuple(range(10, 161, 10))
FAR = {"rank": 256, "steps": 260}
PARAMETERS_OF_7B = 6_738_415_616  # Llama-2-7B, all of them trained


def forgetting(c: dict[str, float], parameters: Any, steps: Any) -> Any:
    """L_f by Eq. 6, in nats."""
    return joint_power_law(
        parameters, steps, a=c["a_f"], alpha=c["alpha_f"], b=c["b_f"], beta=c["beta_f"],
        k=-c["c"] * c["c_ft"], rho=c["rho"], s=c["s"] - c["c"] * c["s_ft"],
    )  # fmt: skip


def target(c: dict[str, float], parameters: Any, steps: Any) -> Any:
    """L_ft by Eq. 5, in nats."""
    return joint_power_law(
        parameters, steps, a=c["a_ft"], alpha=c["alpha_ft"], b=c["b_ft"], beta=c["beta_ft"],
        k=c["c_ft"], rho=c["rho"], s=c["s_ft"],
    )  # fmt: skip


def simulated(seeds: int) -> None:
    """Print how the fitted joint law predicts the largest run."""
    per_rank = PUBLISHED["kalajdzievski2024"]["parameters_per_rank"]
    p, n = (a.ravel() for a in np.meshgrid(per_rank * np.array(RANKS), np.array(STEPS), indexing="ij"))
    far = {"parameters": np.array([per_rank * FAR["rank"]]), "steps": np.array([FAR["steps"]])}
    print(f"Made data: {len(p)} points, ranks {RANKS}, steps {STEPS[0]} to {STEPS[-1]}, {seeds} seeds")
    print("| data | wins by AICc | error, median | worst | within 1 % | last value | × better, median |")
    print("|---|---|---|---|---|---|---|")
    for name in ("openorca", "news"):
        c = PUBLISHED["kalajdzievski2024"][name]
        for label, law in (("L_f", forgetting), ("L_ft", target)):
            truth = float(law(c, far["parameters"], far["steps"])[0])
            errors, carried, winners = [], [], Counter[str]()
            for seed in range(seeds):
                noise = np.random.default_rng(seed).normal(0, NOISE_NATS, len(p))
                data = observations(law(c, p, n) + noise, parameters=p, steps=n)
                judged = {j.law.name: j for j in compare_laws(data, seed=seed)}
                winners.update(candidate for candidate, j in judged.items() if j.best)
                fit = judged["joint_power"].fit
                assert isinstance(fit, Fit)
                errors.append(abs(float(fit.curve(far)[0]) - truth) / truth)
                carried.append(abs(last_value(data) - truth) / truth)
            better = np.median(np.array(carried) / np.array(errors))
            print(
                f"| {name} {label} | {winners['joint_power'] / seeds:.0%} | {np.median(errors):.2%} | "
                f"{max(errors):.2%} | {np.mean(np.array(errors) <= 0.01):.0%} | {np.median(carried):.2%} | "
                f"{better:.1f} |"
            )


def biderman() -> None:
    """Print the laws of the published checkpoints of code fine-tuning, and how they predict the largest."""
    found = PUBLISHED["biderman2024"]
    per_rank = PUBLISHED["kalajdzievski2024"]["parameters_per_rank"]
    sizes = {"r16": 16 * per_rank, "r64": 64 * per_rank, "r256": 256 * per_rank, "full": PARAMETERS_OF_7B}
    epochs = np.array(found["epochs"], dtype=float)
    rows = [(run, e, i) for run in sizes for i, e in enumerate(epochs)]
    data = observations(
        [found["forgetting_score"][run][i] for run, _, i in rows],
        parameters=[sizes[run] for run, _, _ in rows],
        steps=[e for _, e, _ in rows],
        target_loss=[found["humaneval"][run][i] for run, _, i in rows],
        runs=[run for run, _, _ in rows],
    )
    p, n = data.inputs["parameters"], data.inputs["steps"]
    lora = data.take(p < PARAMETERS_OF_7B)
    splits: dict[str, tuple[Observations, Split | None]] = {
        "full fine-tuning at 16 epochs, from LoRA to 8 epochs": (data, split_largest(data)),
        "full fine-tuning at all epochs, from LoRA": (
            data,
            Split(smaller=data.take(p < PARAMETERS_OF_7B), larger=data.take(p == PARAMETERS_OF_7B)),
        ),
        "16 epochs of every run, from 1 to 8 epochs": (
            data,
            Split(smaller=data.take(n < 16), larger=data.take(n == 16)),
        ),
        "LoRA r256 at 16 epochs, from r16 and r64 to 8 epochs": (lora, split_largest(lora)),
    }
    print("\nBiderman et al., code instruction fine-tuning, forgetting score:")
    print("| law | R² | AICc | " + " | ".join(splits) + " |")
    print("|---|---|---|" + "---|" * len(splits))
    for judged in compare_laws(data):
        fit = judged.fit
        if not isinstance(fit, Fit):
            print(f"| {judged.law.name} | {fit.reason} |")
            continue
        errors = []
        for _, split in splits.values():
            held = predict_held_out(fit.law, split) if split else None
            errors.append("not fitted" if held is None else f"{held.error:.3f} ({held.relative:.0%})")
        mark = "**" if judged.best else ""
        print(f"| {mark}{judged.law.name}{mark} | {fit.r2:.3f} | {fit.aicc:.1f} | {' | '.join(errors)} |")
    carried = [predict_held_out(LAWS["constant"], split) if split else None for _, split in splits.values()]
    print(
        "| carrying the last value | | | "
        + " | ".join(f"{h.carried:.3f}" if h else "-" for h in carried)
        + " |"
    )


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    started = time.perf_counter()
    simulated(parser.parse_args().seeds)
    biderman()
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
