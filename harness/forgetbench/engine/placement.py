"""What a model needs of a machine, how many workers fit, and what a plan costs there."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from forgetbench.engine.question import Question
from forgetbench.models.component import Component
from forgetbench.schema.run import LoadSettings

GIB = 2**30
PARAMETERS_PER_CPU = 500e6
MOST_CPUS = 8
LIBRARIES_BYTES = 1 * GIB
"""A process with torch and transformers, before any weight."""
WORKING_FACTOR = 1.5
"""Memory over that of the weights: activations, keys and values, logits."""
ASSUMED_CARD_BYTES = 16 * GIB
"""Of a GPU whose type Ray does not tell."""
CARD_GIB = {"T4": 16, "V100": 16, "P100": 16, "L4": 24, "A10G": 24, "A100": 40, "A100-80G": 80, "H100": 80}
"""By Ray's names of accelerator types."""
GPU_PARTS = (0.25, 0.5, 1.0)
RESOLUTION = 10_000
"""Ray counts resources in such parts of one: in floats, a hundred shares of .02 are more than two."""
BYTES_PER_PARAMETER = {"float32": 4, "bfloat16": 2, "float16": 2}
START_S = 15.0
"""Assumed for a worker to start and load its first model, in the estimate."""


class Share(NamedTuple):
    """What one worker reserves: Ray's ``num_cpus``, ``num_gpus`` and ``memory`` in bytes."""

    cpus: float
    gpus: float
    memory: int

    def __str__(self) -> str:
        """Say it in words."""
        gpus = f"{self.gpus:g} GPU, " if self.gpus else ""
        return f"{self.cpus:g} CPU, {gpus}{self.memory / GIB:g} GiB"


class Node(NamedTuple):
    """A machine of a cluster, as far as placement goes.

    Attributes:
        card_bytes: Memory of one of its GPUs.
    """

    name: str
    cpus: float
    gpus: float
    memory: float
    card_bytes: int = ASSUMED_CARD_BYTES


@dataclass(frozen=True, kw_only=True)
class PlacedShare:
    """The workers of one share.

    Attributes:
        seconds: What one worker would need for all units.
        workers: How many fit, by node.
    """

    share: Share
    n_units: int
    seconds: float
    workers: Mapping[str, int]

    @property
    def n_workers(self) -> int:
        """How many will work."""
        return min(sum(self.workers.values()), self.n_units)


@dataclass(frozen=True, kw_only=True)
class Placed:
    """What ``--dry-run`` says of a plan on a cluster.

    Attributes:
        seconds: Estimated, with all workers; None where no node has room for a share.
        cpu_hours: Reserved CPUs × time.
        gpu_hours: Reserved GPUs × time.
    """

    rows: tuple[PlacedShare, ...]
    seconds: float | None
    cpu_hours: float
    gpu_hours: float


def node_of(described: Mapping[str, Any]) -> Node:
    """Return a node from an entry of ``ray.nodes()``."""
    has = described["Resources"]
    types = [name.partition(":")[2] for name in has if name.startswith("accelerator_type:")]
    known = [CARD_GIB[name] * GIB for name in types if name in CARD_GIB]
    return Node(
        name=str(described["NodeManagerAddress"]),
        cpus=has.get("CPU", 0.0),
        gpus=has.get("GPU", 0.0),
        memory=has.get("memory", 0.0),
        card_bytes=min(known, default=ASSUMED_CARD_BYTES),
    )


def share_of(question: Question, nodes: Sequence[Node]) -> Share:
    """Return what a worker needs for a question: by the model's size, its number type and its device.

    Memory is rounded up to a power of two GiB, so that models of like size take turns in the same worker.
    """
    models = [model for model in (question.component, question.reference) if model is not None]
    weights = sum(_bytes(model, question.load) for model in models)
    if not question.load.device.startswith(("cuda", "auto")):
        needed = (LIBRARIES_BYTES + WORKING_FACTOR * weights) / GIB
        parameters = sum(model.parameters or 0 for model in models)
        cpus = min(max(math.ceil(parameters / PARAMETERS_PER_CPU), 1), MOST_CPUS)
        return Share(float(cpus), 0.0, GIB * 2 ** max(math.ceil(math.log2(needed)), 1))
    card = min((node.card_bytes for node in nodes if node.gpus), default=ASSUMED_CARD_BYTES)
    cards = (LIBRARIES_BYTES + WORKING_FACTOR * weights) / card
    gpus = next((part for part in GPU_PARTS if cards <= part), float(math.ceil(cards)))
    return Share(1.0, gpus, 2 * GIB)


def load_on(share: Share, load: LoadSettings) -> LoadSettings:
    """Return how a worker loads a model: on the GPU that Ray shows it; over several by accelerate's map."""
    if share.gpus > 1:
        return load.model_copy(update={"device": "auto"})
    return load.model_copy(update={"device": "cuda"}) if share.gpus else load


def workers_on(node: Node, share: Share) -> int:
    """Return how many workers of a share fit on an empty node."""
    return min(
        (have // need for have, need in zip(parts(node), parts(share), strict=True) if need), default=0
    )


def widened(shares: Iterable[Share], nodes: Sequence[Node]) -> dict[Share, Share]:
    """Return for each share a larger one of them of which as many workers fit, else itself.

    So fewer kinds of workers are started: one of the larger share answers for the models of both.
    """
    every = set(shares)
    room = {share: sum(workers_on(node, share) for node in nodes) for share in every}

    def holds(larger: Share, share: Share) -> bool:
        return larger.gpus == share.gpus and larger.cpus >= share.cpus and larger.memory >= share.memory

    return {
        share: max([share, *(s for s in every if holds(s, share) and room[s] == room[share] > 0)])
        for share in every
    }


def parts(of: Share | Node) -> tuple[int, int, int]:
    """Return CPUs, GPUs and memory as the whole numbers that Ray adds up."""
    return round(of.cpus * RESOLUTION), round(of.gpus * RESOLUTION), int(of.memory)


def place(work: Mapping[Share, Sequence[float]], nodes: Sequence[Node]) -> Placed:
    """Estimate what a plan takes: the shares one after another, each on all the room there is.

    Args:
        work: Seconds that each unit takes, by share.
        nodes: Of the cluster.
    """
    rows = tuple(
        PlacedShare(
            share=share,
            n_units=len(seconds),
            seconds=sum(seconds),
            workers=_by_name((node.name, n) for node in nodes if (n := workers_on(node, share))),
        )
        for share, seconds in work.items()
    )
    if not all(row.n_workers for row in rows):
        return Placed(rows=rows, seconds=None, cpu_hours=0.0, gpu_hours=0.0)
    walls = [START_S + row.seconds / row.n_workers for row in rows]
    each = list(zip(rows, walls, strict=True))
    return Placed(
        rows=rows,
        seconds=sum(walls),
        cpu_hours=sum(wall * row.n_workers * row.share.cpus for row, wall in each) / 3600,
        gpu_hours=sum(wall * row.n_workers * row.share.gpus for row, wall in each) / 3600,
    )


def _by_name(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Add up the workers of nodes with one address."""
    found: Counter[str] = Counter()
    for name, n in counts:
        found[name] += n
    return dict(found)


def _bytes(model: Component, load: LoadSettings) -> float:
    if model.parameters is None:
        return float(model.bytes or 0)
    return float(model.parameters * BYTES_PER_PARAMETER.get(load.dtype, 4))
