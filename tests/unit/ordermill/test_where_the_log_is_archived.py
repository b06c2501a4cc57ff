"""Whose an archive has to be, and what of it is given to the server's user."""

import os
from pathlib import Path

import pytest

from ordermill import archive
from ordermill.accounts import User
from ordermill.errors import Exit, Failure
from tests.support.another_user import give

# Only root gives folders away.
SERVER: User | None = (os.geteuid() + 1, os.getegid() + 1) if os.geteuid() == 0 else None


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A cluster as far as an archive needs it."""
    (tmp_path / "data" / "global").mkdir(parents=True)
    (tmp_path / "data" / "global" / "pg_control").write_bytes(bytes(range(8)))
    return tmp_path / "data"


@pytest.fixture
def kept(tmp_path: Path, monkeypatch) -> Path:
    """The archive's folder, which is not there yet; pytest's own are closed to another user."""
    monkeypatch.setattr(archive, "can_reach", lambda *_: True)
    return tmp_path / "deep" / "archive"


def refused(kept: Path, data: Path) -> Failure:
    with pytest.raises(Failure, match="Nothing can be archived in") as told:
        archive.settings(kept, data, SERVER)
    assert told.value.code is Exit.STEP_FAILED
    return told.value


def look(folder: Path) -> tuple[int, int]:
    return folder.stat().st_uid, folder.stat().st_mode & 0o7777


def test_the_clusters_folder_is_the_servers_users_alone_and_the_archive_ours_also_the_second_time(kept, data):
    mask = os.umask(0o002)
    try:
        archive.settings(kept, data, SERVER)
    finally:
        os.umask(mask)
    told = archive.settings(kept, data, SERVER)

    assert look(archive.folder_of(kept, data)) == (SERVER[0] if SERVER else os.geteuid(), 0o700)
    assert look(kept) == (os.geteuid(), 0o755)
    assert str(archive.folder_of(kept, data)) in told["archive_command"]


def test_a_link_in_the_place_of_the_clusters_folder_is_refused_and_what_it_leads_to_left_as_it_is(kept, data, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    other.chmod(0o755)
    kept.mkdir(parents=True)
    archive.folder_of(kept, data).symlink_to(other)

    told = refused(kept, data)

    assert "somebody else may have put it there" in told.message
    assert str(archive.folder_of(kept, data)) in told.mend
    assert look(other) == (os.geteuid(), 0o755)


@pytest.mark.parametrize("theirs", ["a file", "one that others may write to", *(["another user's"] if SERVER else [])])
def test_what_somebody_else_may_have_put_in_the_clusters_place_is_refused(kept, data, theirs):
    folder = archive.folder_of(kept, data)
    folder.parent.mkdir(parents=True)
    if theirs == "a file":
        folder.touch(0o600)
    else:
        folder.mkdir(0o700)
    if theirs == "one that others may write to":
        folder.chmod(0o770)
    if theirs == "another user's":
        os.chown(folder, SERVER[0] + 1, -1)
    before = look(folder)

    assert "somebody else may have put it there" in refused(kept, data).message
    assert look(folder) == before


def test_what_is_put_in_the_clusters_place_after_the_look_is_not_touched(kept, data, tmp_path, monkeypatch):
    kept.mkdir(parents=True)
    folder, other = archive.folder_of(kept, data), tmp_path / "other"
    other.mkdir()
    other.chmod(0o755)
    seen = os.lstat

    def then_exchanged(path, **given):
        found = seen(path, **given)
        if path == folder.name:
            folder.rmdir()
            folder.symlink_to(other)
        return found

    monkeypatch.setattr(archive.os, "lstat", then_exchanged)

    refused(kept, data)

    assert look(other) == (os.geteuid(), 0o755)


def test_an_archive_of_another_user_is_refused(kept, data, monkeypatch):
    kept.mkdir(parents=True)
    give(kept, monkeypatch)

    told = refused(kept, data)

    assert "it belongs to another user" in told.message
    assert told.mend.endswith(f"Is it yours after all: chown -h {os.geteuid()} {kept}")
    assert list(kept.iterdir()) == []


def test_an_archive_that_another_user_has_made_before_we_could_is_refused(kept, data, monkeypatch):
    made = Path.mkdir

    def by_another(folder: Path, *given, **named):
        made(folder, *given, **named)
        if folder == kept and kept.exists():
            give(kept, monkeypatch)

    monkeypatch.setattr(Path, "mkdir", by_another)

    assert "it belongs to another user" in refused(kept, data).message
    assert list(kept.iterdir()) == []


@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_an_archive_that_others_may_write_to_is_refused_unless_they_only_add_to_it(kept, data, mode):
    kept.mkdir(parents=True)
    kept.chmod(mode)

    told = refused(kept, data)

    assert "others may write to it" in told.message
    assert told.mend == f"Keep them out: chmod go-w {kept}"
    assert list(kept.iterdir()) == []

    kept.chmod(0o1000 | mode)
    archive.settings(kept, data, SERVER)
    assert archive.folder_of(kept, data).is_dir()


def test_an_archive_that_has_become_a_link_is_refused(kept, data, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    kept.parent.mkdir()
    kept.symlink_to(other)

    told = refused(kept, data)

    assert "it has become a link" in told.message
    assert "ordermill up --archive FOLDER" in told.mend
    assert list(other.iterdir()) == []


@pytest.mark.parametrize(("user", "example"), [(None, "~/ordermill-archive"), ((1, 1), "/var/lib/ordermill-archive")])
def test_the_folder_that_is_proposed_is_one_that_nobody_else_can_have_made(kept, data, user, example):
    kept.parent.mkdir()
    kept.touch()

    with pytest.raises(Failure) as told:
        archive.settings(kept, data, user)

    assert told.value.mend.endswith(f"ordermill up --archive {example}")
