"""A checkpoint and the models it is made of, as values: nothing here reads a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from forgetbench.models.fingerprint import combine
from forgetbench.schema.run import CheckpointInfo, ComponentFormat, ComponentInfo, ComponentRole
from forgetbench.schema.task import Capability

Role = ComponentRole
Format = ComponentFormat

ROLES: tuple[Role, ...] = ("enhancer", "asr", "lm", "tts")


@dataclass(frozen=True, kw_only=True)
class Component:
    """One model of a checkpoint.

    Attributes:
        role: ``enhancer`` cleans speech, ``asr`` hears, ``lm`` reads and writes, ``tts`` speaks.
        source: As it was named: a hub id, a directory's name, a factory. Never an absolute path.
        format: What it was stored as; GGUF has been converted: ``path`` is the result.
        path: Directory in the transformers, PEFT or CTranslate2 layout; None for a factory.
        architecture: Class name in config.json, such as ``LlamaForCausalLM``; of CTranslate2 its own name.
        fingerprint: sha256 over its content.
        capabilities: What it can be asked for.
        revision: Commit of a hub model.
        unpinned: It came from the hub under a name without a revision.
        parameters: Number of parameters, an adapter's base included; None where unknown.
        bytes: Size of the weights as stored (of a converted model: before), an adapter's base included; None
            where unknown.
        adapter_parameters: How many of ``parameters`` an adapter adds; None without one.
        chat_template_sha256: Digest of the chat template's source.
        base: The model under an adapter.
        replaced_base: The model that the adapter names, where that one could not be had and ``base`` is
            another.
        alpha: The part of its change that is applied, see ``models/alpha.py``; None for all of it.
        interpolated_from: With ``alpha``, of a checkpoint that is no adapter: where the change begins.
        parts: Of an assistant that is a chain of models: these, in the order of the signal.
    """

    role: Role
    source: str
    format: Format
    path: Path | None
    architecture: str
    fingerprint: str
    capabilities: tuple[Capability, ...]
    revision: str | None = None
    unpinned: bool = False
    parameters: int | None = None
    bytes: int | None = None
    adapter_parameters: int | None = None
    chat_template_sha256: str | None = None
    base: Component | None = None
    replaced_base: str | None = None
    alpha: float | None = None
    interpolated_from: Component | None = None
    parts: tuple[Component, ...] = ()

    def info(self) -> ComponentInfo:
        """Return what a run document says of it."""
        return ComponentInfo(
            role=self.role,
            source=self.source,
            format=self.format,
            architecture=self.architecture,
            fingerprint=self.fingerprint,
            capabilities=self.capabilities,
            revision=self.revision,
            parameters=self.parameters,
            bytes=self.bytes,
            adapter_parameters=self.adapter_parameters,
            chat_template_sha256=self.chat_template_sha256,
        )


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What ``--model`` or ``--base`` names: one component, or a system of several.

    Attributes:
        name: To show and to name directories with.
        components: By role.
        bases: Base of each role as a ``system.yaml`` names it.
    """

    name: str
    components: Mapping[Role, Component]
    bases: Mapping[Role, str] = field(default_factory=dict)

    @classmethod
    def of(cls, info: CheckpointInfo) -> Checkpoint:
        """Return the checkpoint of a run document: names and fingerprints, and no weights."""
        components = {
            part.role: Component(
                role=part.role,
                source=part.source,
                format=part.format,
                path=None,
                architecture=part.architecture,
                fingerprint=part.fingerprint,
                capabilities=part.capabilities,
            )
            for part in info.components
        }
        return cls(name=info.name, components=components)

    @property
    def fingerprint(self) -> str:
        """The component's own; of a system, sha256 over role and fingerprint of each."""
        prints: dict[str, str] = {role: component.fingerprint for role, component in self.components.items()}
        return next(iter(prints.values())) if len(prints) == 1 else combine(prints)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What its components can do, each alone or one after another."""
        alone = frozenset(c for part in self.components.values() for c in part.capabilities)
        return alone | {"answer_audio"} if self.assistant is not None else alone - {"answer_audio"}

    @property
    def assistant(self) -> Component | None:
        """What answers speech: [enhancer →] recogniser → language model, or one model in one piece.

        A recogniser that the system names is used, even where the language model could hear by itself.
        """
        asr, lm = self.components.get("asr"), self.components.get("lm")
        if asr is not None and "transcribe" not in asr.capabilities:
            return None
        if lm is None or ("generate" if asr else "answer_audio") not in lm.capabilities:
            return None
        chain = [c for c in (self.components.get("enhancer"), asr, lm) if c is not None]
        return lm if len(chain) == 1 else _chained(chain)

    def component_for(self, capability: Capability) -> Component | None:
        """Return the component that can do something, or None."""
        if capability == "answer_audio":
            return self.assistant
        return next((c for c in self.components.values() if capability in c.capabilities), None)

    def info(self) -> CheckpointInfo:
        """Return what a run document says of it."""
        return CheckpointInfo(
            name=self.name,
            fingerprint=self.fingerprint,
            components=tuple(component.info() for component in self.components.values()),
        )


def _chained(parts: Sequence[Component]) -> Component:
    known = [part.parameters for part in parts if part.parameters is not None]
    return Component(
        role="assistant",
        source=" > ".join(part.source for part in parts),
        format=parts[-1].format,
        path=None,
        architecture=" > ".join(part.architecture for part in parts),
        fingerprint=combine({part.role: part.fingerprint for part in parts}),
        capabilities=("answer_audio",),
        parameters=sum(known) if known else None,
        parts=tuple(parts),
    )
