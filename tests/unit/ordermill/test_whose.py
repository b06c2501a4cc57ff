"""What another user of the machine may exchange is neither written to nor believed."""

import asyncio
import errno
import json
import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from ordermill import backup, launch, postgres, restore, whose
from ordermill.backup import Backup
from ordermill.cli import main
from ordermill.errors import Exit, Failure
from ordermill.mails import Mails
from ordermill.shares import Servers, hand_out
from ordermill.state import State
from tests.support.another_user import NOBODY, ROOT, as_nobody, give


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch) -> Path:
    """A folder of nobody's, where nobody else may write."""
    folder = tmp_path / "theirs"
    folder.mkdir(0o755)
    give(folder, monkeypatch)
    return folder


@pytest.fixture
def everybodys(tmp_path: Path) -> Path:
    """A folder as /var/tmp is."""
    folder = tmp_path / "everybodys"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder


def test_a_state_of_another_users_is_not_used(theirs):
    (theirs / "secrets.json").write_text('{"postgres": "planted"}')

    with pytest.raises(Failure, match=f"No shop is kept in {theirs}: it belongs to another user") as told:
        State.open(theirs)

    assert told.value.mend.endswith("--home")
    assert [each.name for each in theirs.iterdir()] == ["secrets.json"]


def test_a_state_is_not_made_below_a_folder_of_another_users(theirs):
    with pytest.raises(Failure, match=f"{theirs} belongs to another user"):
        State.open(theirs / "deep" / "state")

    assert list(theirs.iterdir()) == []


def test_a_link_that_another_user_has_made_is_not_followed(everybodys, tmp_path, monkeypatch):
    (tmp_path / "ours").mkdir()
    link = everybodys / "shop"
    link.symlink_to(tmp_path / "ours")
    give(link, monkeypatch)

    for named in (link, link / "state"):
        with pytest.raises(Failure, match="belongs to another user"):
            State.open(named)

    assert list((tmp_path / "ours").iterdir()) == []


def test_a_link_of_ours_is_followed_and_what_it_leads_to_has_to_be_ours(tmp_path, theirs):
    ours, link, other = tmp_path / "ours", tmp_path / "link", tmp_path / "other"
    ours.mkdir()
    link.symlink_to(ours)
    other.symlink_to(theirs)

    assert State.open(link).root == ours
    assert State.open(link / "deep").root == ours / "deep"
    with pytest.raises(Failure, match=f"{theirs} belongs to another user"):
        State.open(other)


def into(folder: Path, tmp_path: Path) -> dict[str, Callable[[], object]]:
    """Each way to use a folder that somebody has named."""
    state = State.open(tmp_path / "state")
    servers = Servers("db:1", "broker:2", Path("/seen"))
    return {
        "home": lambda: State.open(folder),
        "backup": lambda: backup.take(state, folder, print),
        "restore": lambda: backup.choose(folder, None, lambda _: True),
        "its log": lambda: restore._log(cast("Backup", None), folder),
        "archive": lambda: asyncio.run(launch.up(state, None, archive=str(folder))),
        "secrets": lambda: hand_out(state, folder / "told", servers),
        "mails": lambda: Mails(folder),
    }


@pytest.mark.parametrize("deep", ["", "deep"])
def test_a_link_of_ours_to_a_link_of_another_users_is_not_followed_wherever_that_leads(
    theirs, tmp_path, monkeypatch, deep
):
    """They would let it lead elsewhere once we have looked."""
    hop, final, link = theirs / "hop", tmp_path / "final", tmp_path / "link"
    final.mkdir(0o700)
    hop.symlink_to(final)
    give(hop, monkeypatch)
    link.symlink_to(hop)

    for use in into(link / deep, tmp_path).values():
        with pytest.raises(Failure, match=f"{theirs} belongs to another user"):
            use()

    assert list(final.iterdir()) == []


def test_what_was_looked_at_is_what_is_used(tmp_path, monkeypatch):
    ours, link = tmp_path / "ours", tmp_path / "link"
    ours.mkdir()
    link.symlink_to(ours)
    monkeypatch.setattr(Path, "resolve", lambda *_, **__: tmp_path / "exchanged")

    assert whose.made(link / "deep", 0o700, whose.Use("")) == ours / "deep"
    assert State.open(link).root == ours


def test_a_way_is_gone_as_the_kernel_goes_it(tmp_path):
    """Along links to names of the same folder, of one above and of the root; `..` is of where a link has led."""
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "one").symlink_to("a")
    (tmp_path / "a" / "two").symlink_to("../one/b")
    (tmp_path / "a" / "three").symlink_to(tmp_path / "one" / "two")
    (deep / "root").symlink_to("/")
    named = [tmp_path / "one" / "three", tmp_path / "one" / "two" / ".." / "b" / ".", deep / "root", deep / "new" / "x"]

    for each in named:
        assert whose.led(each, whose.Use("")) == Path(os.path.realpath(each))


def test_a_link_that_leads_to_itself_is_no_folder(tmp_path):
    (tmp_path / "link").symlink_to("link")

    for use in into(tmp_path / "link", tmp_path).values():
        with pytest.raises(Failure, match="it is a link that leads to itself"):
            use()


@pytest.mark.parametrize("name", ["log", "secrets.json", "rabbitmq"])
def test_what_another_user_has_put_into_a_state_of_ours_is_not_used(tmp_path, name, monkeypatch):
    state = State.open(tmp_path / "state")
    (state.root / name).mkdir(exist_ok=True)
    give(state.root / name, monkeypatch)

    with pytest.raises(Failure, match=f"{name} belongs to another user"):
        State.open(state.root)


@pytest.mark.parametrize("name", ["postgres", "sockets"])
def test_a_folder_of_the_servers_user_is_no_strangers(name, tmp_path, monkeypatch):
    state = State.open(tmp_path / "state")
    (state.root / name).mkdir()
    give(state.root / name, monkeypatch)

    assert State.open(state.root).root == state.root


def test_a_volume_of_roots_that_a_platform_opens_to_a_containers_user_is_used(monkeypatch):
    """As an emptyDir of Kubernetes is: root's, and everybody may write to it."""
    with tempfile.TemporaryDirectory() as around:
        volume = Path(around) / "volume"
        Path(around).chmod(0o755)
        volume.mkdir()
        volume.chmod(0o2777)
        give(volume, monkeypatch, ROOT)

        assert as_nobody(lambda: State.open(volume).secret("postgres"))
        assert as_nobody(lambda: State.open(volume).secret("postgres"))
        assert (volume / "secrets.json").stat().st_uid == (NOBODY if os.geteuid() == ROOT else os.geteuid())


def test_whoever_was_quicker_than_we_are_has_not_made_our_folder(everybodys, monkeypatch):
    made = Path.mkdir

    def by_nobody(folder: Path, *given, **named):
        made(folder, *given, **named)
        give(folder, monkeypatch)

    monkeypatch.setattr(Path, "mkdir", by_nobody)

    with pytest.raises(Failure, match="it belongs to another user"):
        whose.made(everybodys / "new", 0o700, whose.Use("Nothing is put into"))


@pytest.mark.parametrize("is_dangling", [True, False])
def test_nothing_is_made_behind_a_link_of_whoever_was_quicker(everybodys, tmp_path, monkeypatch, is_dangling):
    ours, link = tmp_path / "ours", everybodys / "new"
    made = Path.mkdir
    if not is_dangling:
        ours.mkdir()

    def after_somebody(folder: Path, *given, **named):
        if not link.is_symlink():
            link.symlink_to(ours)
            give(link, monkeypatch)
        made(folder, *given, **named)

    monkeypatch.setattr(Path, "mkdir", after_somebody)

    with pytest.raises(Failure, match="Nothing is put into"):
        whose.made(link / "deep" / "state", 0o700, whose.Use("Nothing is put into"))

    assert (list(ours.iterdir()) if ours.exists() else []) == []
    assert ours.exists() != is_dangling


def test_where_everybody_may_exchange_a_folder_nothing_is_put_below_it_unless_it_is_sticky(everybodys):
    everybodys.chmod(0o777)
    with pytest.raises(Failure, match=f"everybody may write to {everybodys}") as told:
        State.open(everybodys / "state")
    assert told.value.mend.endswith(f"chmod o-w {everybodys}")

    everybodys.chmod(0o1777)
    assert State.open(everybodys / "state").root == everybodys / "state"


def test_whoever_owns_the_folder_of_our_code_could_exchange_that_as_well(theirs, monkeypatch):
    monkeypatch.setattr(whose, "CODE", theirs / "ordermill" / "whose.py")

    assert State.open(theirs / ".ordermill").root == theirs / ".ordermill"


def test_a_link_into_what_everybody_may_write_to_is_not_followed(everybodys, tmp_path):
    everybodys.chmod(0o777)
    (everybodys / "state").mkdir()
    (tmp_path / "link").symlink_to(everybodys / "state")

    with pytest.raises(Failure, match=f"everybody may write to {everybodys}"):
        State.open(tmp_path / "link")


@pytest.mark.parametrize("where", ["a file", "below a file", "in /proc", "no right to make", "no right to write"])
def test_a_folder_that_cannot_be_made_or_written_is_one_line_with_what_mends_it(tmp_path, monkeypatch, where):
    file = tmp_path / "file"
    file.touch()
    folder = {"a file": file, "below a file": file / "x", "in /proc": Path("/proc/x")}.get(where, tmp_path / "new")
    uses = into(folder, tmp_path)
    if where == "no right to make":
        monkeypatch.setattr(Path, "mkdir", forbidden)
    if where == "no right to write":
        monkeypatch.setattr(os, "access", lambda *_, **__: False)

    for use in (uses[name] for name in ("home", "backup", "secrets", "mails")):
        with pytest.raises(Failure, match=f" {folder}") as told:
            use()
        assert "\n" not in told.value.message
        assert told.value.mend.startswith(("Choose a folder", "Name "))


def forbidden(*_: object, **__: object) -> None:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


@pytest.mark.parametrize("command", ["ps", "up", "doctor", "reset -y", "logs", "backup", "orders list", "down"])
def test_no_command_ends_in_a_traceback_where_the_state_cannot_be_kept(tmp_path, monkeypatch, capsys, command):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ORDERMILL_HOME", str(tmp_path / "file"))

    with pytest.raises(SystemExit) as ended:
        main(command.split())

    assert ended.value.code == Exit.FAILED
    said = f"No shop is kept in {tmp_path / 'file'}: it is no folder.\n→ Name a folder of your own: ORDERMILL_HOME\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("command", ["prove", "bench", "growth"])
def test_a_folder_of_somebody_elses_files_is_not_one_to_tidy_up(everybodys, capsys, monkeypatch, command):
    (everybodys / "theirs").touch()
    give(everybodys / "theirs", monkeypatch)
    for mode, why in ((0o1777, "it is everybody's"), (0o755, f"{everybodys / 'theirs'} belongs to another user")):
        everybodys.chmod(mode)
        with pytest.raises(SystemExit):
            main([command, "--home", str(everybodys)])
        said = capsys.readouterr().err
        assert (f"No shop is kept in {everybodys}: {why}.\n→ Name a folder of your own: --home") in said
        assert "remove" not in said


def test_neither_mails_nor_secrets_nor_a_socket_go_where_another_user_may_exchange_them(theirs, tmp_path, monkeypatch):
    state = State.open(tmp_path / "state")
    monkeypatch.setattr(tempfile, "tempdir", str(theirs))
    attempts: list[Callable[[], object]] = [
        lambda: Mails(theirs / "mails"),
        lambda: hand_out(state, theirs / "told", Servers("db:1", "broker:2", Path("/seen"))),
        lambda: State(tmp_path / ("d" * 120)).control_socket,
    ]

    for attempt in attempts:
        with pytest.raises(Failure, match="belongs to another user"):
            attempt()

    assert list(theirs.iterdir()) == []


def test_an_archive_is_not_begun_where_another_users_link_leads(everybodys, tmp_path, monkeypatch):
    state, link = State.open(tmp_path / "state"), everybodys / "archive"
    link.symlink_to(tmp_path)
    give(link, monkeypatch)

    with pytest.raises(Failure, match=r"Nothing can be archived in .* belongs to another user") as told:
        asyncio.run(launch.up(state, None, archive=str(link)))

    assert told.value.code is Exit.STEP_FAILED
    assert state.archive is None


@pytest.mark.parametrize("deep", ["", "deep"])
def test_no_backup_is_made_where_another_user_may_exchange_it(theirs, tmp_path, deep):
    folder = theirs / deep
    folder.mkdir(0o755, exist_ok=True)

    with pytest.raises(Failure, match=f"No backup is made in {folder}: .* belongs to another user") as told:
        backup.take(State.open(tmp_path / "state"), folder, print)

    assert told.value.mend.endswith(f"chown -h {os.geteuid()} {theirs}")
    assert [each.name for each in theirs.iterdir()] == [name for name in (deep,) if name]


def test_what_a_link_in_the_place_of_a_draft_leads_to_is_not_removed(everybodys, tmp_path, monkeypatch):
    other, failed = tmp_path / "other", Failure("pg_basebackup failed", "")
    other.mkdir()
    (other / "file").touch()
    (everybodys / backup.DRAFT).symlink_to(other)

    def fails(*_: object, **__: object) -> str:
        raise failed

    monkeypatch.setattr(postgres, "run", fails)

    with pytest.raises(Failure, match="pg_basebackup failed"):
        backup.take(State.open(tmp_path / "state"), everybodys, print)

    assert (other / "file").exists()


def test_a_backup_that_another_user_has_put_there_is_none(everybodys, monkeypatch):
    about = {"ended_at": datetime.now(UTC).isoformat(), "seconds": 1, "mebibytes": 1, "archive": None}
    for name in ("ours", "theirs", "half theirs"):
        (everybodys / name).mkdir()
        (everybodys / name / backup.ABOUT).write_text(json.dumps(about))
    give(everybodys / "theirs", monkeypatch)
    give(everybodys / "half theirs" / backup.ABOUT, monkeypatch)

    (everybodys / "linked").symlink_to(everybodys / "theirs")

    assert [each.folder.name for each in backup.stored_in(everybodys)] == ["ours"]


def test_a_backup_that_another_user_has_put_beside_ours_is_not_taken_for_the_folder(everybodys, monkeypatch):
    about = {"ended_at": datetime.now(UTC).isoformat(), "seconds": 1, "mebibytes": 1, "archive": None}
    (everybodys / backup.ABOUT).write_text(json.dumps(about))
    give(everybodys / backup.ABOUT, monkeypatch)

    with pytest.raises(Failure, match="There is no backup"):
        backup.choose(everybodys, None, lambda _: True)


def test_nothing_is_restored_from_where_another_user_may_have_exchanged_it(theirs, everybodys):
    everybodys.chmod(0o777)

    for folder, why in ((theirs, "it belongs to another user"), (everybodys, "others may write to it")):
        with pytest.raises(Failure, match=f"Nothing is restored from {folder}: {why}"):
            backup.choose(folder, None, lambda _: True)
