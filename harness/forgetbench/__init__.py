"""What did a post-trained model lose? Paired evaluation of speech and language models."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forgetbench.api.callback import ForgettingCallback
    from forgetbench.api.evaluate import evaluate
    from forgetbench.api.pair_result import PairResult, Results
    from forgetbench.api.stored import compare, load_results
    from forgetbench.engine.progress import Progress

__version__ = "0.1.0"
__all__ = [
    "ForgettingCallback",
    "PairResult",
    "Progress",
    "Results",
    "__version__",
    "compare",
    "evaluate",
    "load_results",
]

_HOME = {
    "ForgettingCallback": "api.callback",
    "PairResult": "api.pair_result",
    "Progress": "engine.progress",
    "Results": "api.pair_result",
    "compare": "api.stored",
    "evaluate": "api.evaluate",
    "load_results": "api.stored",
}


def __getattr__(name: str) -> Any:
    """Load a part of the API when it is asked for: ``import forgetbench`` alone loads nothing heavy."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
