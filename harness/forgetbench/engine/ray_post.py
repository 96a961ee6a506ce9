"""What is sent through Ray's object store: each question once, recordings and models once for all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from forgetbench.engine.model_files import files_of, manifest_of, paths_of
from forgetbench.engine.placement import Share, load_on
from forgetbench.engine.question import Question
from forgetbench.engine.ray_worker import Asked


class Post:
    """What lies in the object store for this driver's workers.

    Args:
        ray: The module, connected.
    """

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._shared: dict[int, tuple[Any, Any]] = {}
        self._asked: dict[str, tuple[str, Any]] = {}
        self._files: dict[Path, list[tuple[str, Any]]] = {}

    def question(self, question: Question, share: Share, *, many_nodes: bool) -> tuple[str, Any]:
        """Return a key and a reference to a question; both are new where files were added, or nodes.

        Args:
            question: Goes without its samples.
            share: Of the worker.
            many_nodes: Whether models must be checked by content where they are loaded.
        """
        models = [model for model in (question.component, question.reference) if model is not None]
        paths = [path for model in models for path in paths_of(model)]
        sent = {path: self._files[path] for path in paths if path in self._files}
        load = load_on(share, question.load)
        key = f"{question.key} {len(sent)} {many_nodes} {load.device}"
        if question.key in self._asked and self._asked[question.key][0] == key:
            return self._asked[question.key]
        speech = question.planned.speech
        asked = Asked(
            planned=replace(
                question.planned,
                samples=(),
                batches=(),
                speech=None,
                lm_eval=None,
                judge=None,
                recogniser=None,
            ),
            component=question.component,
            reference=question.reference,
            prompting=question.prompting,
            load=load,
            manifests={path: manifest_of(path) for path in paths} if many_nodes else {},
            speech=self._once(speech) if speech is not None else None,
            sent=sent,
        )
        self._asked[question.key] = key, self._ray.put(asked)
        return self._asked[question.key]

    def add_files(self, path: Path) -> None:
        """Send the files of a model, for nodes that do not have them at their path."""
        if path not in self._files:
            found = files_of(path).items()
            self._files[path] = [(name, self._ray.put(np.fromfile(file, np.uint8))) for name, file in found]

    def _once(self, value: Any) -> Any:
        if id(value) not in self._shared:
            self._shared[id(value)] = value, self._ray.put(value)
        return self._shared[id(value)][1]
