"""How a sample becomes a prompt, and how its answer is drawn."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from forgetbench.data.samples import Sample, render_prompt
from forgetbench.engine.plan import PlannedTask
from forgetbench.models.interface import Audio, Draw, SpokenRequest, TextModel
from forgetbench.schema.run import Sampling
from forgetbench.schema.task import (
    Refusal,
    RefusalMargin,
    SpokenQuestion,
    SpokenRefusal,
    Task,
)


@dataclass(frozen=True, kw_only=True)
class Prompting:
    """How prompts reach this arm's model.

    Attributes:
        use_chat_template: Whether generation and safety prompts are wrapped at all.
        template: Jinja source in place of the tokenizer's own; None for its own.
        sampling: How generated answers are drawn; None for greedily.
        seed: Of the run, for drawing.
        repeat: Which of several answers to each sample is drawn.
    """

    use_chat_template: bool = True
    template: str | None = None
    sampling: Sampling | None = None
    seed: int = 0
    repeat: int = 0

    def draw(self, sample: Sample) -> Draw | None:
        """Return how the answer to a sample is drawn: seeded by its id and the repeat, alike in both arms."""
        if self.sampling is None:
            return None
        key = json.dumps([self.seed, sample.id, sample.condition_label, self.repeat])
        seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >> 1
        return Draw(seed=seed, **self.sampling.model_dump())


def prompt_of(
    planned: PlannedTask, sample: Sample, model: TextModel, prompting: Prompting
) -> tuple[str, bool]:
    """Return the prompt as the model gets it, and whether a chat template rendered it."""
    return prompts_of(planned, [sample], model, prompting)[0]


def prompts_of(
    planned: PlannedTask, samples: Sequence[Sample], model: TextModel, prompting: Prompting
) -> list[tuple[str, bool]]:
    """Return the prompts of a batch as the model gets them, and whether a chat template rendered each."""
    suffix = planned.task.suffix if isinstance(planned.task, Refusal) else ""
    in_chat = wants_chat(planned.task) and prompting.use_chat_template
    prompts = []
    for sample in samples:
        asked = sample.input + suffix
        rendered = model.render_chat(asked, template=prompting.template) if in_chat else None
        prompts.append((asked, False) if rendered is None else (rendered, True))
    return prompts


def wants_chat(task: Task) -> bool:
    """Say whether the prompts of a task go through a chat template, where there is one."""
    in_chat = isinstance(task, Refusal | RefusalMargin) or task.capability == "generate"
    return bool(getattr(task, "chat_template", in_chat))


def said_instead(task: SpokenQuestion | SpokenRefusal, sample: Sample, text: str) -> str:
    """Return the prompt of a spoken request with another text in place of what was said."""
    row = {**sample.row, task.dataset.fields.text: text}
    return render_prompt(task.prompt, row, thing=sample.id)


def spoken_request(
    task: SpokenQuestion | SpokenRefusal, sample: Sample, audio: Audio, prompting: Prompting
) -> SpokenRequest:
    """Return what a model that answers speech in one piece is asked: the clip, and the prompt around it."""
    return SpokenRequest(
        audio=audio,
        instruction=(said_instead(task, sample, "") + getattr(task, "suffix", "")).strip(),
        max_new_tokens=task.max_new_tokens,
        stop=getattr(task, "stop", ()),
        use_chat_template=prompting.use_chat_template and wants_chat(task),
        template=prompting.template,
    )
