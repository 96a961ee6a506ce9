"""Putting a built site where people see it: a folder, a gh-pages branch, or a static Space of the hub."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from forgetbench.errors import ForgetbenchError, UsageError, first_line
from forgetbench.leaderboard.gh_pages import BRANCH, commit_site
from forgetbench.leaderboard.site import MARKER, check_replaceable, put_in_place
from forgetbench.offline import is_offline

_SPACE = re.compile(r"hf://spaces/([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)/?")
_SPACE_CARD = """---
title: {title}
emoji: 📉
colorFrom: blue
colorTo: gray
sdk: static
pinned: false
---

A leaderboard of what post-training loses, built by forgetbench.
"""


def publish(site: Path, to: str) -> str:
    """Publish a built site and return one line that says where it is.

    Args:
        site: What ``leaderboard build`` wrote.
        to: A folder, ``gh-pages``, or ``hf://spaces/ORG/NAME``.

    Raises:
        UsageError: The site is none, or the place cannot be one.
        ForgetbenchError: Git or the hub refused.
    """
    if not (site / MARKER).is_file():
        raise UsageError(str(site), "is no built board", "Run `forgetbench leaderboard build` first.")
    if "\0" in to:
        raise UsageError(f"--to {to}", "is no place: it has a null character", "Correct it.")
    if to == BRANCH:
        return commit_site(site, Path.cwd())
    if to.startswith("hf:"):
        return _to_space(site, to)
    return _to_folder(site, Path(to))


def _to_folder(site: Path, target: Path) -> str:
    """Copy a site, and move it to its place when it is whole."""
    if target.resolve() == site.resolve():
        raise UsageError(f"--to {target}", "is the site itself", "Give another folder.")
    check_replaceable(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as temporary:
        copy = Path(temporary) / "site"
        shutil.copytree(site, copy)
        put_in_place(copy, target)
    return f"{target / 'index.html'}"


def _to_space(site: Path, to: str) -> str:
    named = _SPACE.fullmatch(to)
    if named is None:
        raise UsageError(f"--to {to}", "is no Space", "Write hf://spaces/ORG/NAME.")
    if is_offline():
        raise UsageError(f"--to {to}", "needs the network, and HF_HUB_OFFLINE is set", "Unset it.")
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    space, api = named[1], HfApi()
    card = _SPACE_CARD.format(title=space.partition("/")[2])
    try:
        api.create_repo(space, repo_type="space", space_sdk="static", exist_ok=True)
        if not api.file_exists(space, "README.md", repo_type="space"):
            api.upload_file(
                path_or_fileobj=card.encode(), path_in_repo="README.md", repo_id=space, repo_type="space"
            )
        api.upload_folder(
            repo_id=space,
            repo_type="space",
            folder_path=site,
            delete_patterns="entries/*",
            commit_message="Board built by forgetbench",
        )
    except (HfHubHTTPError, LocalTokenNotFoundError, OSError) as error:
        way_out = "Check HF_TOKEN (it must be able to write) and the name."
        raise ForgetbenchError(to, first_line(error), way_out) from None
    return f"{api.endpoint}/spaces/{space}"
