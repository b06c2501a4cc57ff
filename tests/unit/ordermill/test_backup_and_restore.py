"""Backup, archive and restore on a real PostgreSQL, without a shop around it."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from ordermill import accounts, archive, backup, cli, postgres
from ordermill.errors import Exit, Failure
from ordermill.postgres import Postgres
from ordermill.restore import restore
from ordermill.state import State
from tests.support.another_user import give
from tests.support.eventually import eventually


class Cluster:
    """A private PostgreSQL with a table of numbers, started and ended as `up` would."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.data = state.root / "postgres" / "data"
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        state = self.state
        root, log, password = state.root / "postgres", state.log("postgres"), state.secret("postgres")
        spec = Postgres(root, log, state.sockets, password, archive=state.archive).prepare()
        user = {"user": spec.user[0], "group": spec.user[1]} if spec.user else {}
        asyncio.run(spec.before())
        with spec.log.open("ab") as log:
            # Nobody cuts the power here, and a kill of the process loses nothing that it has written.
            argv = [*spec.argv, "-c", "fsync=off"]
            self._server = subprocess.Popen(argv, env=spec.env, cwd="/", stdout=log, stderr=log, **user)
        asyncio.run(eventually(spec.ready))

    def end(self, number: signal.Signals = signal.SIGINT) -> None:
        if self._server:
            self._server.send_signal(number)
            self._server.wait(30)
            asyncio.run(postgres.await_orphans(self.data.resolve()))
        self._server = None

    def execute(self, statement: str) -> list[int]:
        async def run() -> list[int]:
            connection = await asyncpg.connect(self.state.database_url)
            try:
                return [row[0] for row in await connection.fetch(statement)]
            finally:
                await connection.close()

        return asyncio.run(run())

    def add(self, number: int) -> None:
        self.execute(f"INSERT INTO numbers VALUES ({number})")  # noqa: S608  a number is no text

    def numbers(self) -> list[int]:
        return self.execute("SELECT n FROM numbers ORDER BY n")

    def archive_now(self) -> None:
        """Returns when all that was committed is in the archive."""
        [segment] = self.execute("SELECT pg_walfile_name(pg_switch_wal())")
        asyncio.run(eventually((archive.folder_of(self.state.archive, self.data) / segment).exists))


@pytest.fixture
def archived():
    """A folder that PostgreSQL's user gets into; pytest's own are closed to him."""
    with _an_open_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A cluster that was stopped: it archives, and has one backup, with 1 in its table."""
    state = State.open(tmp_path_factory.mktemp("template"))
    with _an_open_folder() as archived:
        state.keep_archive(archived)
        cluster = Cluster(state)
        cluster.start()
        cluster.execute("CREATE TABLE numbers (n int)")
        cluster.add(1)
        backup.take(state, backup.default_folder(state), print)
        cluster.end()
        yield state
    accounts.remove(state.root / "postgres")


@pytest.fixture
def stopped(template, tmp_path, archived, monkeypatch):
    """A copy of the template."""
    monkeypatch.setenv("ORDERMILL_HOME", str(tmp_path))
    user, state = accounts.unprivileged(), State.open(tmp_path)
    root = accounts.reachable_folder(tmp_path / "postgres", user)
    shutil.copytree(template.root / "postgres" / "data", root / "data", symlinks=True)
    shutil.copytree(template.root / "backups", tmp_path / "backups", symlinks=True)
    shutil.copytree(template.archive, archived, dirs_exist_ok=True)
    for folder in (root / "data", *archived.iterdir()):
        accounts.hand_over(folder, user)
    shutil.copy2(template.root / "secrets.json", tmp_path)
    state.keep_archive(archived)
    yield Cluster(state)
    accounts.remove(tmp_path / "postgres")


@pytest.fixture
def cluster(stopped):
    """The same, running."""
    stopped.start()
    yield stopped
    stopped.end(signal.SIGKILL)


@contextmanager
def _an_open_folder():
    folder = Path(tempfile.mkdtemp(prefix="ordermill-archive-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


def _restored(cluster, until=None, folder=None, log=None):
    return restore(State.open(cluster.state.root), folder or cluster.state.root / "backups", until, log, print)


def _any(_backup):
    return True


def _now():
    return datetime.now(UTC)


def test_all_that_was_committed_is_back_also_what_the_archive_does_not_have_yet(cluster):
    cluster.add(2)
    cluster.archive_now()
    cluster.add(3)
    cluster.end(signal.SIGKILL)

    done = _restored(cluster)
    cluster.start()

    assert cluster.numbers() == [1, 2, 3]
    assert done.timeline == 2
    assert done.data_aside.exists()
    assert done.broker_aside is None


def test_a_moment_is_back_and_a_later_one_that_was_given_up_by_then_can_still_be_had(cluster):
    cluster.add(2)
    early = _now()
    cluster.add(3)
    late = _now()
    cluster.add(4)
    cluster.end(signal.SIGKILL)

    _restored(cluster, early)
    cluster.start()
    first = cluster.numbers()
    cluster.add(5)
    cluster.archive_now()
    cluster.end(signal.SIGKILL)
    _restored(cluster, late)
    cluster.start()
    second = cluster.numbers()
    cluster.archive_now()
    cluster.end()
    _restored(cluster)
    cluster.start()

    assert first == [1, 2]
    assert second == [1, 2, 3]
    assert cluster.numbers() == [1, 2, 3]


def test_a_backup_of_a_future_that_was_given_up_is_chosen_only_for_a_time_in_that_future(cluster):
    # given
    folder = cluster.state.root / "backups"
    [first] = backup.stored_in(folder)
    cluster.add(2)
    early = _now()
    cluster.add(3)
    given_up = backup.take(cluster.state, folder, print)
    assert not [each for each in given_up.folder.rglob("*") if each.is_file() and each.stat().st_mode & 0o077]
    cluster.add(4)
    late = _now()
    cluster.add(5)
    cluster.end(signal.SIGKILL)
    _restored(cluster, early)
    cluster.start()
    cluster.add(6)
    now = _now()
    cluster.add(7)
    cluster.end(signal.SIGKILL)

    # when
    with pytest.raises(Failure, match="a future that an earlier restore has given up"):
        _restored(cluster, folder=given_up.folder)
    to_a_time = _restored(cluster, now)
    to_a_time_of_that_future = _restored(cluster, late)
    cluster.start()
    then = cluster.numbers()
    cluster.end(signal.SIGKILL)
    to_latest = _restored(cluster)
    cluster.start()

    # then
    chosen = [done.backup for done in (to_a_time, to_a_time_of_that_future, to_latest)]
    assert chosen == [first.folder, given_up.folder, given_up.folder]
    assert then == cluster.numbers() == [1, 2, 3, 4]


def test_with_nothing_left_but_backup_and_archive_the_shop_is_back_up_to_the_last_archived_segment(cluster, archived):
    cluster.add(2)
    cluster.archive_now()
    password = cluster.state.secret("postgres")
    cluster.end(signal.SIGKILL)
    moved = cluster.state.root / "elsewhere"
    (cluster.state.root / "backups").rename(moved)
    accounts.remove(cluster.state.root / "postgres")
    for file in ("secrets.json", "archive.json"):
        (cluster.state.root / file).unlink()
    State.open(cluster.state.root).secret("made anew")

    done = _restored(cluster, folder=moved, log=archived)
    cluster.start()

    assert cluster.numbers() == [1, 2]
    assert done.data_aside is None
    assert cluster.state.secret("postgres") == password
    assert cluster.state.archive is None
    assert json.loads((cluster.state.root / "secrets.before-restore.json").read_text()).keys() == {"made anew"}


def test_without_an_archive_what_the_old_data_folder_still_has_is_back(stopped, capsys):
    stopped.state.keep_archive(None)
    [made] = backup.stored_in(stopped.state.root / "backups")
    (made.folder / backup.ABOUT).write_text(json.dumps({**made.about(), "archive": None}, default=str))
    stopped.start()
    stopped.add(2)
    stopped.end(signal.SIGKILL)

    _restored(stopped)
    stopped.start()
    numbers = stopped.numbers()
    stopped.end(signal.SIGKILL)

    assert numbers == [1, 2]
    assert "Its log was not archived" in capsys.readouterr().out


def test_a_restore_tells_what_it_and_others_before_have_put_aside(cluster, capsys):
    cluster.add(2)
    cluster.end()

    for times in (1, 2):
        with pytest.raises(SystemExit):
            cli.main(["restore"])
        assert f"Of earlier data is kept: {times} folders, " in capsys.readouterr().err


def test_a_restore_that_is_killed_changes_nothing_and_the_next_one_succeeds(cluster):
    cluster.add(2)
    cluster.end(signal.SIGKILL)
    argv = [sys.executable, "-m", "ordermill", "restore"]
    killed = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log = cluster.state.log("restore")
    asyncio.run(eventually(lambda: log.exists() and "redo starts" in log.read_text()))
    killed.kill()
    killed.wait()

    before = archive.identifier(cluster.data)
    histories = list(archive.histories([archive.folder_of(cluster.state.archive, cluster.data)]))
    _restored(cluster)
    cluster.start()

    assert histories == []
    assert cluster.numbers() == [1, 2]
    assert archive.identifier(cluster.data) == before


def test_a_restore_that_was_ended_between_its_last_two_steps_is_finished_by_the_next_start(cluster):
    cluster.add(2)
    cluster.end()
    _restored(cluster)
    cluster.data.rename(cluster.data.with_name(postgres.RESTORED))

    cluster.start()

    assert cluster.numbers() == [1, 2]


def test_a_gap_in_the_archive_is_told_and_what_is_there_is_left_as_it_is(cluster):
    for number in (2, 3, 4):
        cluster.add(number)
        cluster.archive_now()
    cluster.end()
    log = archive.folder_of(cluster.state.archive, cluster.data)
    gap = archive.segments(log)[-2]
    for folder in (log, cluster.data / "pg_wal"):
        (folder / gap.name).unlink(missing_ok=True)

    with pytest.raises(Failure, match=f"has a gap: {gap.name} is missing") as told:
        _restored(cluster)

    assert "newer backup" in told.value.mend
    assert list(cluster.data.parent.glob("data.before-*")) == []


def test_a_time_that_the_log_does_not_reach_is_told_with_the_time_that_it_does_reach(cluster):
    cluster.add(2)
    cluster.end()

    with pytest.raises(Failure, match="its last transaction was at 20") as told:
        _restored(cluster, _now())

    assert told.value.mend == "Take all that there is: --until latest"
    assert list(cluster.data.parent.glob("data.before-*")) == []


def test_a_time_before_the_end_of_the_backup_is_refused_and_the_newest_that_is_old_enough_is_chosen(cluster):
    folder = cluster.state.root / "backups"
    [first] = backup.stored_in(folder)
    second = backup.take(cluster.state, folder, print)
    interrupted = folder / ".draft"
    interrupted.mkdir()
    shutil.copy2(second.folder / "backup.json", interrupted)

    assert backup.stored_in(folder) == [first, second]
    assert backup.choose(folder, None, _any) == second
    assert backup.choose(folder, second.ended_at, _any) == second
    assert backup.choose(folder, first.ended_at, _any) == first
    assert backup.choose(first.folder, None, _any) == first
    with pytest.raises(Failure, match="after the time to restore to") as told:
        backup.choose(folder, first.ended_at.replace(year=2000), _any)
    assert told.value.mend == "Name an older backup, or a later time."


def test_only_as_many_backups_as_were_asked_for_are_kept_and_the_log_that_they_need(cluster):
    folder = cluster.state.root / "backups"
    log = archive.folder_of(cluster.state.archive, cluster.data)
    made = [backup.take(cluster.state, folder, print) for _ in range(2)]

    backup.keep(1, made[-1], print)
    cluster.add(2)
    cluster.archive_now()

    assert backup.stored_in(folder) == [made[-1]]
    assert min(file.name for file in archive.segments(log)) == made[-1].first_segment
    cluster.end()
    _restored(cluster)
    cluster.start()
    assert cluster.numbers() == [1, 2]


def test_after_a_restore_to_an_earlier_time_the_log_that_goes_on_from_there_is_kept(cluster):
    # given: an older backup that begins later in the log, on the timeline that was given up
    log = archive.folder_of(cluster.state.archive, cluster.data)
    older, newer = (backup.take(cluster.state, cluster.state.root / "backups", print) for _ in range(2))
    label = older.data / "backup_label"
    label.write_text(label.read_text().replace(older.first_segment, "0000000100000000000000F0"))
    cluster.archive_now()

    # when
    backup.keep(2, newer, print)

    # then
    assert newer.first_segment in {file.name for file in archive.segments(log)}


def test_a_damaged_backup_is_noticed_before_anything_is_touched(stopped):
    [made] = backup.stored_in(stopped.state.root / "backups")
    with (made.data / "global" / "pg_filenode.map").open("ab") as file:
        file.write(b"x")

    with pytest.raises(Failure, match=r"pg_verifybackup failed: .*pg_filenode\.map"):
        _restored(stopped)

    assert not (stopped.data.parent / "restoring").exists()


def test_the_name_of_a_folder_is_never_a_command(stopped, tmp_path):
    [made] = backup.stored_in(stopped.state.root / "backups")
    named = made.folder.rename(made.folder.with_name("it's $(touch ordered) `touch ordered`"))

    restored = _restored(stopped)

    assert restored.backup == named
    assert not any(Path(place, "ordered").exists() for place in ("/", named, tmp_path))


def test_a_backup_with_a_link_in_it_is_refused_since_it_would_lead_out_of_it(stopped, tmp_path):
    [made] = backup.stored_in(stopped.state.root / "backups")
    (made.data / "recovery.signal").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(Failure, match=r"recovery\.signal is no file and no folder"):
        _restored(stopped)

    assert not (tmp_path / "elsewhere").exists()


def test_where_the_servers_user_has_put_a_link_nobody_elses_file_is_written(stopped, tmp_path):
    other = tmp_path / "other"
    other.write_text("another's")
    before = other.stat()
    settings = stopped.data / "ordermill.conf"
    settings.unlink()
    settings.symlink_to(other)

    Postgres(stopped.data.parent, tmp_path / "log", tmp_path, "secret").prepare()

    assert (other.read_text(), other.stat().st_uid, other.stat().st_mode) == (
        "another's",
        before.st_uid,
        before.st_mode,
    )
    assert "max_connections" in settings.read_text()


def test_a_backup_of_another_version_is_refused(stopped):
    [made] = backup.stored_in(stopped.state.root / "backups")
    (made.data / "PG_VERSION").write_text("9\n")

    with pytest.raises(Failure, match="The backup is of PostgreSQL 9, and") as told:
        _restored(stopped)

    assert told.value.code is Exit.MISSING


def test_nothing_is_restored_while_the_server_still_runs(cluster):
    with pytest.raises(Failure, match="A PostgreSQL still runs in") as told:
        _restored(cluster)

    assert told.value.code is Exit.ALREADY_RUNNING


def test_a_log_that_cannot_be_replayed_is_shown(stopped):
    log = archive.folder_of(stopped.state.archive, stopped.data)
    [made] = backup.stored_in(stopped.state.root / "backups")
    for folder in (log, stopped.data / "pg_wal"):
        (folder / made.first_segment).write_bytes(b"damaged")

    with pytest.raises(Failure, match="PostgreSQL could not replay the log") as told:
        _restored(stopped)

    assert told.value.code is Exit.STEP_FAILED
    assert stopped.data.exists()


def test_the_servers_user_does_not_get_into_his_folder_while_a_backup_is_copied_there(stopped, monkeypatch):
    seen, copy, root, user = set(), shutil.copytree, stopped.data.parent, accounts.unprivileged()

    def copied(*given, **named):
        seen.add(root.stat().st_uid)
        return copy(*given, **named)

    monkeypatch.setattr(shutil, "copytree", copied)

    _restored(stopped)

    assert seen == {os.geteuid()}
    assert root.stat().st_uid == stopped.data.stat().st_uid == (user[0] if user else os.geteuid())


def test_the_log_of_an_archive_that_another_user_may_have_exchanged_is_not_replayed(stopped, archived, monkeypatch):
    give(archived, monkeypatch)

    with pytest.raises(Failure, match=f"Nothing is restored from {archived}: it belongs to another user"):
        _restored(stopped)

    assert not (stopped.data.parent / "restoring").exists()


@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_no_backup_is_made_where_others_may_exchange_it(stopped, tmp_path, mode):
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(mode)

    with pytest.raises(Failure, match=r"No backup is made in .* others may write to it") as told:
        backup.take(stopped.state, folder, print)

    assert "chmod go-w" in told.value.mend
    assert list(folder.iterdir()) == []


def test_one_backup_is_made_at_a_time(cluster):
    folder = cluster.state.root / "backups"
    with backup.locked(folder / ".lock", Failure("", "")), pytest.raises(Failure, match="Another backup") as told:
        backup.take(cluster.state, folder, print)

    assert told.value.code is Exit.ALREADY_RUNNING


def test_what_is_archived_is_never_half_there_and_never_overwritten(tmp_path, archived):
    segment, other = tmp_path / "segment", tmp_path / "other"
    segment.write_bytes(b"one")
    other.write_bytes(b"two")
    folder = archived / "it's 5%"
    folder.mkdir()
    (folder / ".name").write_bytes(b"half of what a killed copy has lef")
    quoted = archive._quoted(archive._STORE, folder)[1:-1].replace("''", "'").replace("\\\\", "\\")

    def store(file):
        command = quoted.replace("%%", "\0").replace("%f", "name").replace("%p", str(file)).replace("\0", "%")
        return subprocess.run(["/bin/sh", "-c", command], check=False).returncode

    assert store(segment) == 0
    assert store(segment) == 0
    assert store(other) == 1
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {"name": b"one"}


def test_an_archive_that_the_server_cannot_write_to_is_refused(stopped, monkeypatch):
    file = stopped.state.root / "a file"
    file.touch()
    for unusable in (file, stopped.state.root / "closed"):
        stopped.state.keep_archive(unusable)
        if unusable != file:
            monkeypatch.setattr(archive, "can_reach", lambda *_: False)
        with pytest.raises(Failure, match=f"Nothing can be archived in {unusable}") as told:
            stopped.start()
        assert "--archive" in told.value.mend


def test_an_archive_that_takes_nothing_is_told_with_the_backup(cluster, archived):
    log = archive.folder_of(archived, cluster.data)
    shutil.rmtree(log)
    log.touch()
    cluster.execute("SELECT pg_switch_wal()")

    async def stuck():
        return await backup.archiving_trouble(cluster.state.database_url) is not None

    asyncio.run(eventually(stuck))


def test_the_log_of_an_older_timeline_counts_only_up_to_where_the_next_one_began():
    one = [f"00000001{0:08X}{each:08X}" for each in range(1, 10)]
    two = [f"00000002{0:08X}{each:08X}" for each in (4, 6)]
    history = "1\t0/43F1530\tbefore 2026-11-26 21:54:22+00\n"

    assert archive.missing(one, [], one[0], (1, "")) is None
    assert archive.missing(one[:3] + one[4:], [], one[0], (1, "")) == one[3]
    assert archive.missing([*one, *two], [], one[0], (2, history)) == "000000020000000000000005"
    assert archive.missing([*one, *two], ["000000020000000000000005"], one[0], (2, history)) is None
    assert archive.missing(one, [], one[0], (2, history)) is None
    assert archive.number("0000000100000001000000FF") == 511


def test_a_timeline_has_the_log_of_those_before_it_up_to_where_each_ended():
    history = "1\t0/43F1530\tbefore 21:54\n3\t1/5000000\tbefore 22:54\n"

    assert archive.goes_through(history, 1, 0x43F1530)
    assert not archive.goes_through(history, 1, 0x43F1531)
    assert archive.goes_through(history, 3, 0x1_0000_0000)
    assert not archive.goes_through(history, 2, 0x1000000)
    assert not archive.goes_through("", 1, 0)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("restore", Exit.FAILED, "There is no backup in"),
        ("restore --until later", 2, "is no time; write for example"),
        ("restore --until 2999-01-01", 2, "is yet to come"),
        ("backup", Exit.NOT_RUNNING, "No shop of this checkout is running."),
    ],
)
def test_what_cannot_be_done_is_told_with_its_exit_code(words, code, said, tmp_path):
    environment = {**os.environ, "ORDERMILL_HOME": str(tmp_path), "TERMINAL_WIDTH": "200"}

    argv = [sys.executable, "-m", "ordermill", *words.split()]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == code
    assert said in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_a_database_that_is_not_ours_is_left_to_its_own_tools(tmp_path, monkeypatch, capsys, command):
    monkeypatch.setenv("ORDERMILL_HOME", str(tmp_path))
    monkeypatch.setenv("ORDERMILL_DATABASE_URL", "postgresql://nobody/x")

    with pytest.raises(SystemExit) as ended:
        cli.main([command])

    assert ended.value.code == Exit.FAILED
    assert "own tools" in capsys.readouterr().err


def test_a_running_shop_is_not_restored(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ORDERMILL_HOME", str(tmp_path))

    with State.open(tmp_path).lock(), pytest.raises(SystemExit) as ended:
        cli.main(["restore"])

    assert ended.value.code == Exit.ALREADY_RUNNING
    assert capsys.readouterr().err.endswith("→ Stop it with: ordermill down\n")
