"""Whether the network may be used: one answer for models and data."""

from __future__ import annotations

import os
import time
from functools import lru_cache
from urllib.error import HTTPError
from urllib.request import Request, urlopen

HUB_TIMEOUT_S = 10.0
_VARIABLES = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")
_ON = frozenset({"1", "ON", "YES", "TRUE"})


def is_offline(offline: bool = False) -> bool:
    """Say whether no socket may be opened.

    Args:
        offline: What ``--offline`` says.

    Returns:
        True for ``offline``, or if any of Hugging Face's own switches is on: ``HF_HUB_OFFLINE``,
        ``HF_DATASETS_OFFLINE`` or ``TRANSFORMERS_OFFLINE``.
    """
    return offline or any(os.environ.get(name, "").upper() in _ON for name in _VARIABLES)


def hub_answers() -> bool:
    """Say whether the hub says anything at all in ten seconds; it is asked once a minute at most.

    The hub's own client waits without end for a server that takes a connection and stays silent.
    """
    return _hub_answers(int(time.monotonic() // 60))


@lru_cache(maxsize=1)
def _hub_answers(minute: int) -> bool:
    from huggingface_hub import constants

    try:
        with urlopen(Request(constants.ENDPOINT, method="HEAD"), timeout=HUB_TIMEOUT_S):
            return True
    except HTTPError:
        return True
    except (OSError, ValueError):
        return False
