"""Archives and folders from strangers: nothing lands outside, no links, no bombs."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from forgetbench.errors import DataError, UsageError
from forgetbench.leaderboard import unpack
from forgetbench.leaderboard.unpack import opened, result_directories

BAD_NAMES = (
    "../evil",
    "/etc/evil",
    "a/../../evil",
    "a//b",
    "a\\..\\b",
    "",
    ".hidden",
    "a/b\x00c",
    "a/" * 13 + "b",
    "~/x",
    "C:evil",
)


def tar_of(path: Path, members: list[tarfile.TarInfo], content: bytes = b"x") -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            member.size = len(content) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(content))
    return path


def open_it(path: Path) -> list[Path]:
    with opened(path) as folder:
        return sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("name", [name for name in BAD_NAMES if name and "\0" not in name])
def test_a_member_that_leads_elsewhere_is_refused_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    (inner := tmp_path / "inner").mkdir()
    path = tar_of(inner / "a.tar.gz", [tarfile.TarInfo("ok/run.json"), tarfile.TarInfo(name)])
    with pytest.raises(DataError, match="could lead elsewhere"):
        open_it(path)
    with zipfile.ZipFile(inner / "a.zip", "w") as archive:
        archive.writestr(name, "x")
    with pytest.raises(DataError, match="could lead elsewhere"):
        open_it(inner / "a.zip")
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar_are_refused(kind: bytes, tmp_path: Path) -> None:
    member = tarfile.TarInfo("samples")
    member.type, member.linkname = kind, "/etc"
    with pytest.raises(DataError, match="link or no regular file"):
        open_it(tar_of(tmp_path / "a.tar.gz", [member]))


def test_links_in_a_zip_and_in_a_folder_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("run.json")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="link or no regular file"):
        open_it(tmp_path / "a.zip")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "samples").symlink_to("/etc")
    with pytest.raises(DataError, match="link or no regular file"):
        open_it(folder)


def test_a_name_that_comes_twice_is_refused_whatever_its_case(tmp_path: Path) -> None:
    members = [tarfile.TarInfo("a/run.json"), tarfile.TarInfo("a/RUN.json")]
    with pytest.raises(DataError, match="is there twice"):
        open_it(tar_of(tmp_path / "a.tar.gz", members))


def test_bombs_are_counted_as_they_unpack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "MAX_FILE_BYTES", 2_000_000)
    monkeypatch.setattr(unpack, "MAX_TOTAL_BYTES", 4_000_000)
    monkeypatch.setattr(unpack, "MAX_FILES", 50)
    with pytest.raises(DataError, match="larger than 2 MB"):
        open_it(tar_of(tmp_path / "a.tar.gz", [tarfile.TarInfo("a")], b"\0" * 3_000_000))
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"\0" * 3_000_000)
    with pytest.raises(DataError, match="larger than 2 MB"):
        open_it(tmp_path / "a.zip")
    with pytest.raises(DataError, match="more than"):
        open_it(tar_of(tmp_path / "b.tar.gz", [tarfile.TarInfo(f"f{i}") for i in range(60)]))
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 10_000_000  # a header that would be read as a whole
    with gzip.open(tmp_path / "c.tar.gz", "wb") as bomb:
        bomb.write(header.tobuf() + b"\0" * 10_000_000)
    with pytest.raises(DataError, match="a header or member that is too large"):
        open_it(tmp_path / "c.tar.gz")


def test_an_archive_with_any_byte_flipped_is_one_line_or_whole(tmp_path: Path) -> None:
    content = " ".join(str(n * n) for n in range(3000)).encode()
    whole = tar_of(tmp_path / "a.tar.gz", [tarfile.TarInfo("a/run.json")], content).read_bytes()
    refused = 0
    for i in range(0, len(whole), 20):
        (path := tmp_path / "b.tar.gz").write_bytes(whole[:i] + bytes([whole[i] ^ 0xFF]) + whole[i + 1 :])
        try:
            open_it(path)
        except (DataError, UsageError):
            refused += 1
    assert refused > len(whole) / 20 / 2


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8bbroken", b"PK\x03\x04broken"])
def test_a_damaged_archive_is_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(content)
    with (
        pytest.raises((DataError, UsageError), match=r"damaged archive|holds no run\.json"),
        opened(path) as folder,
    ):
        result_directories(folder)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        open_it(tmp_path / "none")
    with pytest.raises(UsageError, match=r"holds no run\.json"), opened(tmp_path) as folder:
        result_directories(folder)
