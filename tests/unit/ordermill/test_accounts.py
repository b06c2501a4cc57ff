"""Where a server that must not run as root keeps its data."""

import os
import shutil
from pathlib import Path

import pytest

from ordermill import accounts
from ordermill.accounts import User, clear, closed, own, reachable_folder, remove, unprivileged
from ordermill.errors import Failure

IS_ROOT = os.geteuid() == 0
SERVER: User | None = (os.geteuid() + 1, os.getegid() + 1) if IS_ROOT else None


@pytest.fixture
def checkout(tmp_path: Path):
    folder = tmp_path / "checkout"
    folder.mkdir(mode=0o700)
    yield folder
    remove(folder / "postgres")


def test_the_folder_is_the_same_each_time_and_keeps_what_is_in_it(checkout: Path):
    # given
    (reachable_folder(checkout / "postgres", unprivileged()) / "data").write_text("orders")

    # when
    again = reachable_folder(checkout / "postgres", unprivileged())

    # then
    assert (again / "data").read_text() == "orders"


def test_a_checkout_that_was_deleted_and_is_made_again_begins_with_nothing(checkout: Path):
    # given
    (reachable_folder(checkout / "postgres", unprivileged()) / "data").write_text("orders of a shop that is gone")
    shutil.rmtree(checkout)
    checkout.mkdir(mode=0o700)

    # when
    again = reachable_folder(checkout / "postgres", unprivileged())

    # then
    assert list(again.iterdir()) == []


@pytest.mark.parametrize("whose", ["everybody may write to", *(["another user's"] if IS_ROOT else [])])
def test_a_folder_that_somebody_else_has_put_in_its_place_is_not_used(checkout: Path, tmp_path: Path, whose: str):
    # given
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    if whose == "another user's":
        os.chown(theirs, SERVER[0] + 1, -1)
    else:
        theirs.chmod(0o777)
    (checkout / "postgres").symlink_to(theirs)

    # when
    with pytest.raises(Failure, match="somebody else may have put it there"):
        reachable_folder(checkout / "postgres", SERVER)

    # then
    assert (checkout / "postgres").readlink() == theirs
    theirs.rmdir()


def test_a_folder_that_is_linked_to_and_the_servers_own_is_used(checkout: Path, tmp_path: Path):
    # given
    ours = tmp_path / "ours"
    ours.mkdir(mode=0o755)
    (checkout / "postgres").symlink_to(ours)

    # when
    found = reachable_folder(checkout / "postgres", None)

    # then
    assert found == ours


def test_what_a_link_in_a_folders_place_leads_to_is_nobody_elses_afterwards(tmp_path: Path):
    # given
    other = tmp_path / "other"
    other.mkdir()
    other.chmod(0o755)
    (tmp_path / "folder").symlink_to(other)

    # when
    with pytest.raises(OSError, match="folder"):
        own(tmp_path / "folder", (os.geteuid() + 1, os.getegid()) if os.geteuid() == 0 else None)

    # then
    assert (other.stat().st_uid, other.stat().st_mode & 0o777) == (os.geteuid(), 0o755)


@pytest.mark.parametrize("theirs", ["a link", "a link to nowhere", "a file"])
def test_where_somebody_else_was_first_another_name_is_taken_and_no_link_followed(
    checkout, tmp_path, monkeypatch, theirs
):
    # given: the server's user does not get into the checkout
    other, everybodys = tmp_path / "other", tmp_path / "everybodys"
    for folder in (other, everybodys):
        folder.mkdir()
    (other / "file").touch()
    monkeypatch.setattr(accounts, "can_reach", lambda *_: False)
    monkeypatch.setattr(accounts, "ELSEWHERE", everybodys)
    first = reachable_folder(checkout / "postgres", None)
    remove(checkout / "postgres")
    if theirs == "a file":
        first.touch()
    else:
        first.symlink_to(other if theirs == "a link" else tmp_path / "nowhere")

    # when
    found = reachable_folder(checkout / "postgres", None)

    # then
    assert (found.parent, found.stat().st_mode & 0o777) == (everybodys, 0o700)
    assert found != first
    assert (checkout / "postgres").readlink() == found == reachable_folder(checkout / "postgres", None)
    assert [each.name for each in other.iterdir()] == ["file"]
    assert not (tmp_path / "nowhere").exists()


def test_of_a_link_that_is_cleared_away_only_the_link_goes(tmp_path):
    other, link = tmp_path / "other", tmp_path / "link"
    other.mkdir()
    link.symlink_to(other)

    clear(link)

    assert other.exists()
    assert not link.is_symlink()


def test_while_we_work_in_a_folder_of_the_servers_user_it_is_ours_and_afterwards_his(tmp_path):
    folder, owner = tmp_path / "folder", SERVER[0] if SERVER else os.geteuid()
    folder.mkdir()
    own(folder, SERVER)

    with closed(folder, SERVER):
        meanwhile = folder.stat().st_uid, folder.stat().st_mode & 0o777

    assert meanwhile == (os.geteuid(), 0o700)
    assert (folder.stat().st_uid, folder.stat().st_mode & 0o777) == (owner, 0o700)


@pytest.mark.parametrize("linked", [False, True])
def test_what_a_killed_one_has_kept_from_the_servers_user_is_his_again(checkout, tmp_path, monkeypatch, linked):
    # given
    monkeypatch.setattr(accounts, "can_reach", lambda *_: True)
    folder = tmp_path / "elsewhere" if linked else checkout / "postgres"
    folder.mkdir(0o700)
    (folder / "data").touch()
    if linked:
        (checkout / "postgres").symlink_to(folder)

    # when
    found = reachable_folder(checkout / "postgres", SERVER)

    # then
    assert (found, found.stat().st_uid) == (folder, SERVER[0] if SERVER else os.geteuid())
    assert [each.name for each in found.iterdir()] == ["data"]
