"""The work list."""

import pytest

from contracts.types import Priority
from inventory_service.domain import task
from inventory_service.domain.task import CreateTask, TaskKind, TaskStatus, UpdateTask
from tests.support.inventory_service import LATER, NOW, TASK, a_fulfil_task, a_task


def updated(known, version=1, **changes):
    return task.update(known, UpdateTask(task_id=TASK, version=version, changes=changes), LATER)


def test_staff_note_down_a_manual_task():
    created = task.create(TASK, CreateTask(title="Count the mugs"), "usr_1", NOW)

    assert created == a_task()
    assert (created.key, created.kind, created.is_open) == (TASK, TaskKind.MANUAL, True)


def test_a_task_may_be_noted_down_when_it_is_done():
    created = task.create(TASK, CreateTask(title="Swept", status=TaskStatus.COMPLETED), "usr_1", NOW)

    assert (created.completed_at, created.is_open) == (NOW, False)


def test_an_update_changes_what_is_given():
    after = updated(a_task(), priority=Priority.CRITICAL, title="Count the mugs")

    assert after == a_task(priority=Priority.CRITICAL, version=2, updated_at=LATER)


def test_an_update_without_a_change_leaves_the_task():
    known = a_task()

    assert updated(known, title="Count the mugs") is known


def test_a_task_that_is_set_to_completed_is_completed_now():
    assert updated(a_task(), status=TaskStatus.COMPLETED).completed_at == LATER


def test_an_update_of_an_old_version_is_refused():
    with pytest.raises(task.TaskChanged):
        updated(a_task(version=2), title="x")


@pytest.mark.parametrize("status", [TaskStatus.COMPLETED, TaskStatus.CANCELLED])
def test_a_closed_task_is_not_updated(status):
    with pytest.raises(task.TaskClosed):
        updated(a_task(status=status), title="x")


@pytest.mark.parametrize("known", [None, a_task(deleted_at=NOW)])
def test_a_task_that_is_not_there_is_unknown(known):
    with pytest.raises(task.TaskUnknown):
        updated(known, title="x")


@pytest.mark.parametrize("status", [TaskStatus.COMPLETED, TaskStatus.CANCELLED])
def test_a_fulfilment_is_not_closed_by_an_update(status):
    with pytest.raises(task.BoundToOrder):
        updated(a_fulfil_task(), status=status)


def test_a_fulfilment_may_be_blocked_and_assigned():
    assert updated(a_fulfil_task(), status=TaskStatus.BLOCKED).status is TaskStatus.BLOCKED


def test_a_deleted_task_is_off_the_list():
    deleted = task.delete(a_task(), LATER)

    assert (deleted.deleted_at, deleted.is_open, deleted.version) == (LATER, False, 2)


def test_a_fulfilment_cannot_be_deleted():
    with pytest.raises(task.BoundToOrder):
        task.delete(a_fulfil_task(), LATER)


def test_a_check_is_opened_once_while_it_is_open_and_again_after_it_was_closed():
    opened = a_task(kind=TaskKind.CHECK)
    closed = a_task(kind=TaskKind.CHECK, status=TaskStatus.COMPLETED, version=4)

    assert task.check(None, opened, LATER) is opened
    assert task.check(opened, opened, LATER) is None
    assert task.check(closed, opened, LATER) == a_task(kind=TaskKind.CHECK, version=5, updated_at=LATER)
