"""Where the private PostgreSQL's socket lies."""

import os
import shutil
import stat
import tempfile

import pytest

from ordermill.accounts import remove
from ordermill.errors import Failure
from ordermill.sockets import folder_for, place, socket_in

LONGEST_ADDRESS = 103  # of macOS; Linux takes four more


@pytest.fixture
def wanted(tmp_path):
    """A path that is too long for a socket."""
    folder = tmp_path / ("d" * 90)
    folder.mkdir()
    yield folder / "sockets"
    remove(folder / "sockets")


def test_it_lies_beside_the_data_where_that_is_a_short_way(tmp_path, monkeypatch):
    monkeypatch.setattr("ordermill.sockets.LONGEST_FOLDER", 200)

    assert folder_for(tmp_path / "sockets", None) == tmp_path / "sockets"
    assert stat.S_IMODE((tmp_path / "sockets").stat().st_mode) == 0o700


def test_else_in_a_new_folder_that_nobody_can_have_made_before(wanted):
    folder = folder_for(wanted, None)

    assert (folder.parent, wanted.readlink()) == (type(wanted)(tempfile.gettempdir()), folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len(os.fsencode(socket_in(folder))) <= LONGEST_ADDRESS
    assert folder_for(wanted, None) == folder


@pytest.mark.parametrize("name", ["two words", "a,b", "it's", "100%", "é"])
def test_nor_where_a_name_would_have_to_be_quoted(tmp_path, monkeypatch, name):
    monkeypatch.setattr("ordermill.sockets.LONGEST_FOLDER", 200)
    (tmp_path / name).mkdir()

    folder = folder_for(tmp_path / name / "sockets", None)

    assert folder != tmp_path / name / "sockets"
    remove(tmp_path / name / "sockets")


def test_a_folder_that_was_cleaned_away_is_made_anew(wanted):
    first = folder_for(wanted, None)
    shutil.rmtree(first)

    assert folder_for(wanted, None) != first


def test_a_folder_that_others_may_write_to_by_now_is_not_used(wanted):
    folder_for(wanted, None).chmod(0o777)

    with pytest.raises(Failure, match="somebody else may have put it there"):
        folder_for(wanted, None)


def test_nor_is_one_that_is_somebody_elses(wanted, monkeypatch):
    folder_for(wanted, None)
    another = os.geteuid() + 1
    monkeypatch.setattr("ordermill.accounts.os.geteuid", lambda: another)

    with pytest.raises(Failure, match="somebody else may have put it there"):
        folder_for(wanted, None)


def test_an_address_names_it_in_the_place_of_a_host(tmp_path):
    assert place(type(tmp_path)("/srv/shop/sockets")) == "%2Fsrv%2Fshop%2Fsockets:5432"
