from __future__ import annotations

import numpy as np

from forgetbench.data.waveform_cache import WaveformCache


def test_what_was_used_longest_ago_goes_first_and_the_bound_holds() -> None:
    made: list[str] = []
    cache = WaveformCache(max_bytes=3 * 400)

    def get(key: str, n: int = 100) -> np.ndarray:
        return cache.get(key, lambda: made.append(key) or np.zeros(n, dtype=np.float32))

    for key in ("a", "b", "c", "a", "d"):
        get(key)
    assert made == ["a", "b", "c", "d"]
    get("a")
    assert made == ["a", "b", "c", "d"]
    get("b")
    assert made[-1] == "b"


def test_a_waveform_larger_than_the_bound_is_not_kept_and_drives_nothing_out() -> None:
    made: list[str] = []
    cache = WaveformCache(max_bytes=400)
    for key, n in (("small", 50), ("huge", 1000), ("small", 50), ("huge", 1000)):
        cache.get(key, lambda key=key, n=n: made.append(key) or np.zeros(n, dtype=np.float32))
    assert made == ["small", "huge", "huge"]
