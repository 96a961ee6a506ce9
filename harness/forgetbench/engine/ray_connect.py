"""The way to a Ray cluster: at an address, or started on this machine."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Any

from forgetbench.errors import UsageError, first_line

KNOCK_TIMEOUT_S = 10.0
OBJECT_STORE_BYTES = 200 * 2**20
"""Of a Ray that is started here: nothing large is sent on one machine."""


def connect(ray: Any, address: str) -> None:
    """Connect this process to a cluster, or start a Ray on this machine.

    Args:
        ray: The module.
        address: Of the cluster, as Ray has it; ``local`` for one on this machine.

    Raises:
        UsageError: There is no cluster at the address.
    """
    if address.startswith("ray://"):
        raise UsageError(
            f"--ray-address {address}",
            "is of Ray Client, and the command runs on a node of the cluster",
            "Submit it with `ray job submit`, or give host:6379 on a node.",
        )
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address == "local":
        os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's own 15 would starve beside anything else
    here: Mapping[str, Any] = {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    own = here if address == "local" else {}
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **own)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        cause = f"cannot be reached ({first_line(error)})"
        raise UsageError(
            f"--ray-address {address}", cause, "Start one with `ray start --head`, or leave the option out."
        ) from None


def _knock(address: str) -> None:
    """Fail at once where nobody listens; Ray itself would try for ten minutes.

    Raises:
        OSError: There is no such host, or nothing listens at its port.
    """
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_TIMEOUT_S).close()
