"""Which packages a metric needs beyond forgetbench's own, and how they are installed."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import NamedTuple

from forgetbench.errors import MissingPackageError


class Requirement(NamedTuple):
    """What must be there.

    Attributes:
        modules: Imported by the metric.
        extra: Of forgetbench, brings them; empty for none.
        then: Command that must follow.
    """

    modules: tuple[str, ...]
    extra: str
    then: str = ""


_CLARITY = Requirement(("clarity", "numba"), "hearing-loss", "pip install --no-deps pyclarity==0.9.0")
_SPEAKER = Requirement(("resemblyzer",), "", "pip install --no-deps resemblyzer==0.1.4")
_REQUIREMENTS = {
    "speaker_similarity": _SPEAKER,
    "cloned": _SPEAKER,
    "haspi": _CLARITY,
    "hasqi": _CLARITY,
    "dnsmos": Requirement(("speechmos", "onnxruntime", "librosa"), "dnsmos"),
}


def check_installed(metrics: Iterable[str]) -> None:
    """Fail where a metric's package is missing; nothing is imported.

    Raises:
        MissingPackageError: Names the metric, what is missing and the commands that install it.
    """
    for metric in metrics:
        requirement = _REQUIREMENTS.get(metric)
        missing = [m for m in requirement.modules if find_spec(m) is None] if requirement else []
        if requirement and missing:
            raise MissingPackageError(
                f"metric {metric!r}", ", ".join(missing), extra=requirement.extra, then=requirement.then
            )
