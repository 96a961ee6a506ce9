"""``--output-path`` as a URL: where results wait on this machine, and where they will be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def results_in(output: Path, *, as_json: bool) -> Iterator[Path]:
    """Yield the folder for results; where ``output`` is a URL, say that they are copied there.

    Args:
        output: A folder, or a URL that fsspec knows.
        as_json: Print to stderr.

    Raises:
        MissingPackageError: fsspec needs another package for it.
        StorageError: Files cannot be copied; the next time they are.
    """
    from forgetbench.cli.console import console
    from forgetbench.engine.shared_results import results_at, url_of
    from forgetbench.redact import redact
    from forgetbench.report.escape import plain

    with results_at(output) as folder:
        if (url := url_of(output)) is not None:
            line = f"Results are copied to {plain(redact(url))} at the end"
            console(as_json=as_json).print(line, style="dim", soft_wrap=True)
        yield folder
