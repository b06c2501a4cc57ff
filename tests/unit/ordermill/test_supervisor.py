"""The supervisor at work on small real processes."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
import textwrap

import psutil
import pytest

from ordermill.errors import Exit, Failure
from ordermill.ports import HOST, find_free
from ordermill.probes import answers_ok, exchange
from ordermill.process import Spec
from ordermill.supervisor import Supervisor, all_ready
from tests.support.eventually import eventually

SLEEPS = "import time; time.sleep(600)"
STUBBORN = """
    import signal, subprocess, sys, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print(child.pid, flush=True)
    time.sleep(600)
"""
SERVES = """
    import http.server, sys
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/readyz" else 503)
            self.end_headers()
        def log_message(self, *_): pass
    http.server.HTTPServer(("127.0.0.1", {port}), Handler).serve_forever()
"""

TAKES_OVER = """
    import os, socket
    with socket.socket(fileno=int(os.environ["ORDERMILL_LISTENER"])) as listener:
        while True:
            with listener.accept()[0] as connection:
                connection.sendall(str(os.getpid()).encode())
"""


@pytest.fixture
def notes():
    return []


@pytest.fixture
async def supervisor(notes):
    supervisor = Supervisor(notes.append)
    yield supervisor
    await supervisor.stop()


@pytest.fixture
def a_process(tmp_path):
    def build(name="sleeper", code=SLEEPS, **given):
        argv = (sys.executable, "-c", textwrap.dedent(code))
        return Spec(name=name, argv=argv, log=tmp_path / f"{name}.log", env=dict(os.environ), **given)

    return build


async def test_what_dies_comes_back_at_once(supervisor, a_process, notes):
    running = await supervisor.start_ready(a_process())
    first = running.pid

    os.kill(first, signal.SIGKILL)
    await eventually(lambda: running.status == "ready" and running.pid not in {None, first})

    assert running.restarts == 1
    assert notes == ["sleeper ended (SIGKILL), starts again in 0.0 s", "sleeper is ready again"]


async def who_answers(port):
    reader, writer = await asyncio.open_connection(HOST, port)
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    return int(answer)


async def test_who_connects_while_a_process_comes_back_waits_and_is_not_refused(supervisor, a_process):
    port = find_free(None, 20_000, set())
    running = await supervisor.start_ready(a_process(code=TAKES_OVER, listens=port))
    first = running.pid
    assert await who_answers(port) == first

    os.kill(first, signal.SIGKILL)
    await eventually(lambda: running.pid != first)
    answered = [await who_answers(port) for _ in range(3)]
    second = running.pid
    await supervisor.stop()

    assert answered == [second] * 3
    assert second != first
    with pytest.raises(ConnectionRefusedError):
        await who_answers(port)


async def test_what_never_becomes_ready_is_reported_with_the_end_of_its_log(supervisor, a_process):
    with pytest.raises(Failure, match="cannot open the books") as failed:
        await supervisor.start_ready(a_process(code="raise SystemExit('cannot open the books')", ready=_never))

    assert failed.value.code == Exit.STEP_FAILED
    assert supervisor.find("sleeper").restarts > 3


async def test_what_is_not_ready_in_time_is_reported(supervisor, a_process):
    with pytest.raises(Failure, match="sleeper did not become ready"):
        await supervisor.start_ready(a_process(ready=_never, ready_within=0.2))


async def test_the_step_after_a_start_is_done_again_after_each_restart_and_until_it_works(supervisor, a_process):
    outcomes = iter([ValueError("not yet"), None, None])
    done = []

    async def declare():
        outcome = next(outcomes)
        if outcome:
            raise outcome
        done.append(1)

    running = await supervisor.start_ready(a_process(after_ready=declare))
    assert len(done) == 1
    assert not running.trouble

    running.kill_group()
    await eventually(lambda: len(done) == 2)


async def test_the_trouble_of_a_step_that_never_works_is_told(supervisor, a_process):
    async def declare():
        message = "no such exchange"
        raise ValueError(message)

    with pytest.raises(Failure, match="ValueError: no such exchange"):
        await supervisor.start_ready(a_process(after_ready=declare, ready_within=1))


async def test_a_process_that_ignores_the_request_to_end_is_ended_with_what_it_started(supervisor, a_process, tmp_path):
    running = await supervisor.start_ready(a_process(code=STUBBORN, grace=0.3))
    await eventually(lambda: (tmp_path / "sleeper.log").read_text().endswith("\n"))
    grandchild = int((tmp_path / "sleeper.log").read_text())
    pid = running.pid

    await supervisor.stop()

    await eventually(lambda: not _runs(grandchild))
    assert not _runs(pid)
    assert running.status == "stopped"
    assert running.pid is None


async def test_those_that_depend_on_others_end_first(supervisor, a_process, tmp_path):
    tells = """
        import signal, sys, time
        def end(*_):
            open({file!r}, "a").write({name!r} + " ")
            sys.exit(0)
        signal.signal(signal.SIGTERM, end)
        print("up", flush=True)
        time.sleep(600)
    """
    file = str(tmp_path / "order")
    for rank, name in enumerate(("server", "worker", "edge")):
        await supervisor.start(a_process(name, tells.format(file=file, name=name), rank=rank))
    await eventually(lambda: all((tmp_path / f"{name}.log").read_text() for name in ("server", "worker", "edge")))

    await supervisor.stop()

    assert (tmp_path / "order").read_text() == "edge worker server "


async def test_a_restart_on_request_ends_the_process_and_waits_for_the_next_one(supervisor, a_process, notes):
    running = await supervisor.start_ready(a_process())
    first = running.pid

    await supervisor.restart("sleeper")

    assert running.status == "ready"
    assert running.pid != first
    assert running.restarts == 1
    assert notes == ["sleeper is restarted", "sleeper is ready again"]


async def test_who_is_restarted_and_does_not_come_back_is_not_called_stopped(supervisor, a_process, notes, tmp_path):
    mark = str(tmp_path / "mark")
    once = f"import os, sys; sys.exit(3) if os.path.exists({mark!r}) else open({mark!r}, 'w').close()"
    running = await supervisor.start_ready(a_process(code=f"{once}\n{SLEEPS}"))
    await eventually((tmp_path / "mark").exists)

    asking = asyncio.create_task(supervisor.restart("sleeper"))
    await eventually(lambda: any("exit code 3" in note for note in notes))
    asking.cancel()

    assert notes[0] == "sleeper is restarted"
    assert running.status != "stopped"


async def test_an_unknown_name_is_refused_with_the_names_that_there_are(supervisor, a_process):
    await supervisor.start_ready(a_process())
    await supervisor.start_ready(a_process("hidden", listed=False))

    with pytest.raises(Failure, match="No process is called nobody") as refused:
        await supervisor.restart("nobody")

    assert refused.value.mend == "Choose one of: sleeper"


async def test_ps_asks_again_whoever_was_ready(supervisor, a_process):
    port = find_free(None, 13_000, set())
    given = {"ready": answers_ok(port, "/readyz"), "alive": answers_ok(port, "/readyz"), "url": f"http://{HOST}:{port}"}
    spec = a_process("web", SERVES.format(port=port), **given)
    running = await supervisor.start_ready(spec)
    ready = {"name": "web", "pid": running.pid, "status": "ready", "restarts": 0, "url": spec.url}
    assert await supervisor.describe() == [ready]
    assert all_ready(await supervisor.describe())

    psutil.Process(running.pid).suspend()
    frozen = await supervisor.describe()
    psutil.Process(running.pid).resume()

    assert frozen == [{**ready, "status": "silent"}]
    assert not all_ready(frozen)


async def test_what_answers_and_is_not_ready_any_more_is_told_apart_from_what_is_silent(supervisor, a_process):
    is_ready = [True]

    async def ready():
        return is_ready[0]

    await supervisor.start_ready(a_process(ready=ready))
    is_ready[0] = False

    assert [each["status"] for each in await supervisor.describe()] == ["unready"]


async def test_a_process_that_says_that_it_is_not_alive_is_ended_and_comes_back(
    supervisor, a_process, notes, monkeypatch
):
    monkeypatch.setattr("ordermill.supervisor.LIVENESS_EACH", 0.02)
    port = find_free(None, 13_100, set())
    spec = a_process(
        "web", SERVES.format(port=port), ready=answers_ok(port, "/readyz"), alive=answers_ok(port, "/livez")
    )

    running = await supervisor.start_ready(spec)
    await eventually(lambda: running.restarts == 1)

    assert notes[0] == "web is not alive any more, ending it"


async def test_a_process_that_cannot_be_started_again_is_tried_until_it_can(supervisor, a_process, notes):
    outcomes = iter([None, OSError("disk full"), None])

    async def prepare():
        outcome = next(outcomes)
        if outcome:
            raise outcome

    running = await supervisor.start_ready(a_process(before=prepare))
    running.kill_group()
    await eventually(lambda: running.status == "ready" and running.restarts == 1)

    assert notes[1] == "sleeper cannot be started: disk full; again in 0.2 s"


async def test_everything_can_be_ended_at_once(a_process, notes):
    supervisor = Supervisor(notes.append)
    running = await supervisor.start_ready(a_process(code=STUBBORN))
    pid = running.pid

    supervisor.kill()

    await eventually(lambda: not _runs(pid))
    await supervisor.stop()


async def test_children_end_with_a_supervisor_that_is_killed(tmp_path):
    parent = textwrap.dedent(f"""
        import asyncio, sys
        from pathlib import Path
        from ordermill.process import Spec
        from ordermill.supervisor import Supervisor
        async def main():
            spec = Spec(name="child", argv=(sys.executable, "-c", {SLEEPS!r}), log=Path({str(tmp_path / "log")!r}))
            print((await Supervisor(print).start_ready(spec)).pid, flush=True)
            await asyncio.sleep(600)
        asyncio.run(main())
    """)
    with _started(parent) as process:
        child = int(process.stdout.readline())
        assert _runs(child)

        process.kill()

    await eventually(lambda: not _runs(child))


async def test_nobody_answers_on_a_port_where_nobody_listens():
    assert await exchange(find_free(None, 13_200, set()), b"hello", 1) == b""


async def test_a_wait_for_readiness_is_left_when_everything_is_told_to_end(supervisor, a_process):
    running = await supervisor.start(a_process(ready=_never))
    supervisor.stopping.set()

    with pytest.raises(asyncio.CancelledError):
        await supervisor.wait_ready(running)


def _started(code):
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


async def _never():
    return False


def _runs(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_what_a_process_writes_is_nobody_elses_to_read(supervisor, a_process, tmp_path):
    made = tmp_path / "made"
    mask = os.umask(0)
    try:
        await supervisor.start_ready(a_process(code=f"open({str(made)!r}, 'w'); {SLEEPS}"))
        await eventually(made.exists)
    finally:
        os.umask(mask)

    assert {stat.S_IMODE(each.stat().st_mode) for each in (made, tmp_path / "sleeper.log")} == {0o600}


async def test_a_process_that_is_put_aside_stays_ended_until_it_is_started_again(supervisor, notes, tmp_path):
    spec = Spec("sleeper", (sys.executable, "-c", SLEEPS), tmp_path / "log")
    first = (await supervisor.start_ready(spec)).pid

    async with asyncio.timeout(20):
        aside = await supervisor.put_aside("sleeper")

    assert (aside, supervisor.processes, psutil.pid_exists(first)) == (spec, {}, False)
    again = await supervisor.start_ready(aside)
    assert again.pid not in {None, first}
    os.kill(again.pid, signal.SIGKILL)
    await eventually(lambda: _is_counted(again))
    assert [note.partition(" ended")[0] for note in notes if " ended" in note] == ["sleeper"]


async def _is_counted(running):
    return running.restarts == 1
