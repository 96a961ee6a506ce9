"""A site as one commit on the branch gh-pages, without touching the working tree or the index."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from forgetbench.errors import ForgetbenchError, UsageError

BRANCH = "gh-pages"
REMOTE = "origin"


def commit_site(site: Path, repository: Path) -> str:
    """Commit a site as the whole content of gh-pages; push it where there is a remote ``origin``.

    A push that the remote refuses leaves the commit on the local branch.

    Args:
        site: Folder of the site.
        repository: Folder in a git repository.

    Raises:
        UsageError: It is in no git repository, or the branch is checked out.
        ForgetbenchError: Git refused.
    """
    top = _try(repository, "rev-parse", "--show-toplevel")
    if top is None:
        raise UsageError("--to gh-pages", f"{repository} is in no git repository", "Change to one.")
    if _try(repository, "symbolic-ref", "--short", "HEAD") == BRANCH:
        raise UsageError("--to gh-pages", "the branch is checked out", "Check out another one.")
    has_remote = _try(repository, "remote", "get-url", REMOTE) is not None
    if has_remote:
        _try(repository, "fetch", "--quiet", REMOTE, f"refs/heads/{BRANCH}:refs/heads/{BRANCH}")
    parent = _try(repository, "rev-parse", "--verify", "--quiet", f"refs/heads/{BRANCH}^{{commit}}")
    tree = _tree(site, repository)
    if parent is not None and _git(repository, "rev-parse", f"{parent}^{{tree}}") == tree:
        commit, did = parent, "has this board already"
    else:
        parents = ["-p", parent] if parent is not None else []
        commit = _git(repository, "commit-tree", tree, *parents, "-m", "Board built by forgetbench")
        _git(repository, "update-ref", f"refs/heads/{BRANCH}", commit, parent or "")
        did = f"has the board in commit {commit[:12]}"
    if not has_remote:
        return f"{BRANCH} {did}; there is no remote {REMOTE} to push it to"
    _git(repository, "push", "--quiet", REMOTE, f"refs/heads/{BRANCH}:refs/heads/{BRANCH}")
    return f"{BRANCH} {did}, pushed to {REMOTE}"


def _tree(site: Path, repository: Path) -> str:
    """Return the tree object of a folder, made by an index of its own."""
    with tempfile.TemporaryDirectory(prefix="forgetbench-index-") as temporary:
        own = {"GIT_INDEX_FILE": str(Path(temporary) / "index"), "GIT_WORK_TREE": str(site.resolve())}
        directory = _git(repository, "rev-parse", "--absolute-git-dir")
        own["GIT_DIR"] = directory
        _git(site, "add", "--all", "--force", ".", environment=own)
        return _git(site, "write-tree", environment=own)


def _try(folder: Path, *arguments: str) -> str | None:
    try:
        return _git(folder, *arguments)
    except ForgetbenchError:
        return None


def _git(folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0", **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise ForgetbenchError("git", error.strerror or "cannot be run", "Install git.") from None
    if done.returncode:
        cause = (done.stderr.strip().splitlines() or ["failed"])[-1]
        raise ForgetbenchError(f"git {arguments[0]}", cause, "Mend it and run the same command again.")
    return done.stdout.strip()
