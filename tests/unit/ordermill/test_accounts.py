"""Where a server that must not run as root keeps its data."""

import shutil
from pathlib import Path

import pytest

from ordermill.accounts import reachable_folder, remove, unprivileged


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
