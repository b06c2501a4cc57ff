"""What becomes of another way that does not work: it is said, and nothing of it is left running."""

import asyncio
import sys
from types import SimpleNamespace

import pytest

from ordermill.bench import beside
from ordermill.bench.beside import Beside, _Run
from ordermill.errors import Exit, Failure

IGNORES = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"


async def started(program):
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )


@pytest.mark.parametrize("said", ["", "print('hello')", "print('{}')", "print('[]')"])
async def test_who_does_not_say_which_processes_serve_is_named_with_the_log(tmp_path, said):
    child = await started(said)

    with pytest.raises(Failure, match="did not say which processes serve") as failure:
        await beside._processes(child, tmp_path, tmp_path / "log")

    assert (failure.value.code, failure.value.mend) == (Exit.STEP_FAILED, f"Read {tmp_path / 'log'}")
    await beside._end(child)


async def test_who_does_not_end_when_told_to_is_ended(monkeypatch):
    monkeypatch.setattr(beside, "ENDS_WITHIN", 0.1)
    child = await started(IGNORES)
    await child.stdout.readline()

    await beside._end(child)

    assert child.returncode == -9


async def test_orders_that_are_never_confirmed_end_the_run(tmp_path):
    asked = Beside(tmp_path, 10, 2, patience=0.0)
    database = SimpleNamespace(fetchval=lambda _: _told(3))
    generator = SimpleNamespace(phase=lambda *_, **__: _told({"accepted": 10}))

    with pytest.raises(Failure, match="confirmed 3 of 10 orders") as failure:
        await _Run(asked, database, generator, {})._settled(10, 0)

    assert failure.value.code == Exit.TIMED_OUT


async def _told(value):
    return value
