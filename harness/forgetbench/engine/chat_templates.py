"""Whose chat template an arm's prompts go through."""

from __future__ import annotations

from dataclasses import replace

from forgetbench.engine.prompting import Prompting
from forgetbench.errors import UsageError
from forgetbench.models.component import Checkpoint
from forgetbench.models.fingerprint import chat_template
from forgetbench.models.pairing import Pair
from forgetbench.schema.run import Settings


def prompting_of(settings: Settings, pair: Pair) -> Prompting:
    """Return how prompts reach the models of both arms.

    Raises:
        UsageError: One arm's chat template is wanted for both, and it has none.
    """
    prompting = Prompting(sampling=settings.sampling, seed=settings.seed)
    mode = settings.chat_template
    if mode in ("auto", "none"):
        return replace(prompting, use_chat_template=mode == "auto")
    template = template_of(pair.base if mode == "base" else pair.checkpoint)
    if template is None:
        raise UsageError(f"--chat-template {mode}", "that arm has no chat template", "Use auto or none.")
    return replace(prompting, template=template)


def template_of(checkpoint: Checkpoint | None) -> str | None:
    """Return the chat template of what generates, an adapter's own before its base's; None without one."""
    component = checkpoint.component_for("generate") if checkpoint else None
    while component is not None and component.path is not None:
        if (template := chat_template(component.path)) is not None:
            return template
        component = component.base
    return None
