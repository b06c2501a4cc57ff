"""Where a server that must not run as root keeps its data."""

import os
import shutil
from pathlib import Path

import pytest

from ordermill.accounts import own, reachable_folder, remove, unprivileged
from ordermill.errors import Failure


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


@pytest.mark.parametrize("mode", [0o700, 0o777])
def test_a_folder_that_somebody_else_has_put_in_its_place_is_not_used(checkout: Path, tmp_path: Path, mode: int):
    # given
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    theirs.chmod(mode)
    (checkout / "postgres").symlink_to(theirs)
    somebody_else = os.geteuid() + 1

    # when
    with pytest.raises(Failure, match="somebody else may have put it there"):
        reachable_folder(checkout / "postgres", (somebody_else, somebody_else) if mode == 0o700 else None)

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
