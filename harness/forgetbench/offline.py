"""Whether the network may be used: one answer for models and data."""

from __future__ import annotations

import os
import time
from functools import lru_cache

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

    It is asked by its own client, with the proxies and certificates of that; left alone, the client waits
    without end for a server that takes a connection and stays silent.
    """
    return _hub_answers(int(time.monotonic() // 60))


@lru_cache(maxsize=1)
def _hub_answers(minute: int) -> bool:
    from huggingface_hub import constants, get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=HUB_TIMEOUT_S)
    except Exception:  # of the client's HTTP library, which is another in each of its versions
        return False
    return True
