"""Fixtures that every kind of test may use."""

import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.database import a_copy, make_template
from tests.support.servers import server_url

# Mends name our commands as they can be typed here: as if the virtual environment were activated.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, help="replay this seed of the simulation, and nothing else of it")
    place = "with --seed: kill whoever comes to wait at this place first; may be given again"
    parser.addoption("--crash-at", action="append", default=[], help=place)
    parser.addoption("--new-costs", action="store_true", help="write down what an order takes now")


# A file is one process's, and those that take minutes begin first: else one process works on while the other is idle.
LONG = (
    *(f"tests/stateful/test_{name}.py" for name in ("any_sequence", "bugs_are_noticed")),
    "tests/simulation/",
    "tests/attacks/test_any_request.py",
    *(f"tests/system/test_{name}.py" for name in ("ending", "restoring", "stuck", "a_cluster_of_brokers", "upgrading")),
    "tests/unit/ordermill/test_backup_and_restore.py",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: next((n for n, name in enumerate(LONG) if item.nodeid.startswith(name)), len(LONG)))


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this test run share."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    folder = Path(tempfile.gettempdir()) / f"ordermill-tests-{run}" if run else tmp_path_factory.mktemp("run")
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session", autouse=True)
def temporary_place(run_folder: Path) -> Iterator[None]:
    """Where the sockets of this process's shops lie, since pytest's folders are too deep for them. It goes with them.

    `run_folder` comes first: it lies where all processes of the run look for it.
    """
    with pytest.MonkeyPatch.context() as patch, suppress(OSError):
        place = Path(tempfile.mkdtemp(prefix="ordermill-tests-"))
        place.chmod(0o711)
        patch.setenv("TMPDIR", str(place))
        patch.setattr(tempfile, "tempdir", str(place))
        yield
        for folder in place.iterdir():
            with suppress(OSError):  # a server of this run still listens there, and removes it
                folder.rmdir()
        place.rmdir()


@pytest.fixture(scope="session")
async def template(postgres: str, run_folder: Path) -> str:
    return await make_template(postgres, run_folder / "template.lock")


@pytest.fixture
async def shop_database(postgres: str, template: str) -> AsyncIterator[str]:
    """The URL of a database with every schema, for this test alone."""
    async with a_copy(postgres, template) as url:
        yield url


@pytest.fixture(scope="session")
def postgres(run_folder: Path) -> str:
    """The URL of this run's PostgreSQL, as its owner."""
    return server_url("postgres", run_folder)


@pytest.fixture(scope="session")
def rabbitmq(run_folder: Path) -> str:
    """The URL of this run's RabbitMQ, as its administrator; it has the services' users, and no queues."""
    return server_url("rabbitmq", run_folder)
