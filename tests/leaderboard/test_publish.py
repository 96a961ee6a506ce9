"""A built site reaches a folder, a branch and a Space, and nothing else is touched on the way."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from board_results import write_board, write_result
from forgetbench.errors import ForgetbenchError, UsageError
from forgetbench.leaderboard.definition import columns_of, read_board
from forgetbench.leaderboard.publish import publish
from forgetbench.leaderboard.serve import make_server
from forgetbench.leaderboard.site import build_site


@pytest.fixture
def site(tmp_path: Path) -> Path:
    write_result(tmp_path / "results", "one", {"arc": 0.0, "facts": 0.03})
    path, tasks = write_board(tmp_path, {"arc": "general", "facts": "general"})
    board = read_board(str(path))
    columns = columns_of(board, [tasks])
    return build_site(board, columns, results=tmp_path / "results", output=tmp_path / "site").directory


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_to_a_folder_the_whole_site_takes_the_place_of_the_earlier_one(site: Path, tmp_path: Path) -> None:
    target = tmp_path / "www" / "board"
    publish(site, str(target))
    assert files(target) == files(site)
    (target / "entries" / "stale.html").write_text("of an earlier board")
    publish(site, str(target))
    assert files(target) == files(site)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds something that is no board"):
        publish(site, str(tmp_path / "home"))


def test_what_is_no_site_is_not_published(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no built board"):
        publish(tmp_path, str(tmp_path / "x"))


def test_a_place_with_a_null_character_is_one_line(site: Path) -> None:
    with pytest.raises(UsageError, match="null character"):
        publish(site, "a\0b")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"):
        monkeypatch.setenv(name, "A. Person")
    for name in ("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "a@example.org")
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch", "main")
    (folder / "file.txt").write_text("one\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "one")
    (folder / "file.txt").write_text("not committed\n")
    (folder / "staged.txt").write_text("staged\n")
    git(folder, "add", "staged.txt")
    monkeypatch.chdir(folder)
    return folder


def test_gh_pages_gets_a_commit_and_the_working_tree_and_index_stay(site: Path, repository: Path) -> None:
    before = git(repository, "status", "--porcelain")
    assert "there is no remote origin" in publish(site, "gh-pages")
    assert git(repository, "status", "--porcelain") == before == "M file.txt\nA  staged.txt"
    assert git(repository, "ls-tree", "-r", "--name-only", "gh-pages").splitlines() == sorted(files(site))
    assert "has this board already" in publish(site, "gh-pages")
    (site / "board.csv").write_text("another\n")
    publish(site, "gh-pages")
    assert git(repository, "rev-list", "--count", "gh-pages") == "2"
    assert git(repository, "show", "gh-pages:board.csv") == "another"


def test_gh_pages_is_pushed_where_there_is_an_origin(site: Path, repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "origin.git")
    git(repository, "remote", "add", "origin", str(tmp_path / "origin.git"))
    assert "pushed to origin" in publish(site, "gh-pages")
    assert git(tmp_path / "origin.git", "rev-parse", "gh-pages") == git(repository, "rev-parse", "gh-pages")
    git(repository, "remote", "set-url", "origin", str(tmp_path / "gone.git"))
    with pytest.raises(ForgetbenchError, match="git push"):
        publish(site, "gh-pages")


def test_gh_pages_needs_a_repository(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UsageError, match="in no git repository"):
        publish(site, "gh-pages")


class Hub(BaseHTTPRequestHandler):
    """The part of the hub's HTTP API that an upload uses, with one static Space."""

    created: list[dict[str, object]]
    committed: dict[str, bytes]
    deleted: list[str]
    refuses = False

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def reply(self, content: object, status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", "EntryNotFound")
        self.end_headers()

    def do_GET(self) -> None:
        if "/tree/" in self.path:
            self.reply([{"type": "file", "path": "entries/stale.html", "size": 1, "oid": "0" * 40}])
        elif self.path.startswith("/api/spaces/org/board"):
            stale = [{"rfilename": "entries/stale.html"}]
            self.reply({"id": "org/board", "sha": "0" * 40, "private": False, "siblings": stale, "tags": []})
        else:
            self.reply({"error": "not found"}, 404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.refuses:
            self.reply({"error": "You may not write here"}, 403)
        elif self.path == "/api/repos/create":
            self.created.append(json.loads(body))
            self.reply({"url": f"http://{self.headers['Host']}/spaces/org/board", "id": "org/board"})
        elif "/preupload/" in self.path:
            asked = json.loads(body)["files"]
            self.reply(
                {
                    "files": [
                        {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in asked
                    ]
                }
            )
        elif "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.committed[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                if line["key"] == "deletedFile":
                    self.deleted.append(line["value"]["path"])
            url = f"http://{self.headers['Host']}/spaces/org/board/commit/{'1' * 40}"
            self.reply({"success": True, "commitOid": "1" * 40, "commitUrl": url, "hookOutput": ""})
        else:
            self.reply({}, 200)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    Hub.created, Hub.committed, Hub.deleted, Hub.refuses = [], {}, [], False
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        import huggingface_hub.constants as constants
        import huggingface_hub.hf_api as api

        for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setenv("HF_TOKEN", "a-token-of-the-test")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", address)
        for module in (constants, api):
            for name in ("HUGGINGFACE_CO_URL_TEMPLATE",):
                if hasattr(module, name):
                    monkeypatch.setattr(module, name, address + "/{repo_id}/resolve/{revision}/{filename}")
        yield Hub
        server.shutdown()


def test_a_space_gets_the_site_a_card_and_loses_pages_that_are_gone(site: Path, hub: type[Hub]) -> None:
    assert publish(site, "hf://spaces/org/board").endswith("/spaces/org/board")
    assert hub.created[0]["type"] == "space" and hub.created[0]["sdk"] == "static"
    card = hub.committed.pop("README.md").decode()
    assert card.startswith("---\n") and "sdk: static" in card
    assert {name: content for name, content in files(site).items() if content} == {
        name: content for name, content in hub.committed.items() if content
    }
    assert hub.deleted == ["entries/stale.html"]


def test_a_refusing_hub_is_one_line(site: Path, hub: type[Hub]) -> None:
    hub.refuses = True
    with pytest.raises(ForgetbenchError, match="HF_TOKEN"):
        publish(site, "hf://spaces/org/board")


@pytest.mark.parametrize("to", ["hf://spaces/onlyname", "hf://models/a/b", "hf://spaces/../x", "hf:x"])
def test_an_address_that_is_no_space_is_refused(to: str, site: Path) -> None:
    with pytest.raises(UsageError, match="is no Space"):
        publish(site, to)


def test_offline_no_space_is_written(site: Path) -> None:
    with pytest.raises(UsageError, match="HF_HUB_OFFLINE"):
        publish(site, "hf://spaces/org/board")


def test_the_server_serves_the_site_on_loopback_only(site: Path, tmp_path: Path) -> None:
    with make_server(site, 0) as server:
        assert server.server_address[0] == "127.0.0.1"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/board.json") as page:
            assert page.read() == (site / "board.json").read_bytes()
        with pytest.raises(UsageError, match="--port"):
            make_server(site, server.server_port)
        server.shutdown()
    with pytest.raises(UsageError, match="is no built board"):
        make_server(tmp_path / "results", 0)
