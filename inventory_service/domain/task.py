"""The work list of the warehouse and the operators: orders to ship, things to check, and what staff note down."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from contracts.types import OrderId, Priority, UserId

TITLE_LENGTH = 200
DESCRIPTION_LENGTH = 2000


class TaskUnknown(Exception):
    """There is no such task."""


class TaskClosed(Exception):
    """The task is completed or cancelled already."""


class TaskChanged(Exception):
    """The task has changed since it was read."""


class BoundToOrder(Exception):
    """A fulfilment task ends by being completed, or with its order; not otherwise."""


class TaskKind(StrEnum):
    """Who opens a task, and what completing it means."""

    FULFIL = "fulfil"
    MANUAL = "manual"
    CHECK = "check"


class TaskStatus(StrEnum):
    """How far the work is."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    BLOCKED = "blocked"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


CLOSED = frozenset({TaskStatus.COMPLETED, TaskStatus.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A piece of work. A fulfil task ships what one warehouse holds for one order."""

    id: UUID
    kind: TaskKind
    title: str
    description: str = ""
    status: TaskStatus = TaskStatus.PENDING
    priority: Priority = Priority.MEDIUM
    assignee: UserId | None = None
    due_at: datetime | None = None
    order_id: OrderId | None = None
    warehouse: str | None = None
    created_by: str
    version: int = 1
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None = None
    deleted_at: datetime | None = None

    @property
    def key(self) -> UUID:
        return self.id

    @property
    def is_open(self) -> bool:
        return self.status not in CLOSED and self.deleted_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTask:
    """Note down a piece of work."""

    title: str
    description: str = ""
    status: TaskStatus = TaskStatus.PENDING
    priority: Priority = Priority.MEDIUM
    assignee: UserId | None = None
    due_at: datetime | None = None
    order_id: OrderId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateTask:
    """Change these fields (of title, description, status, priority, assignee, due_at), if the version is still this."""

    task_id: UUID
    version: int
    changes: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteTask:
    """Take a task off the list."""

    task_id: UUID


def create(task_id: UUID, command: CreateTask, actor: str, at: datetime) -> Task:
    return Task(
        id=task_id,
        kind=TaskKind.MANUAL,
        title=command.title,
        description=command.description,
        status=command.status,
        priority=command.priority,
        assignee=command.assignee,
        due_at=command.due_at,
        order_id=command.order_id,
        created_by=actor,
        created_at=at,
        updated_at=at,
        completed_at=at if command.status is TaskStatus.COMPLETED else None,
    )


def update(known: Task | None, command: UpdateTask, at: datetime) -> Task:
    task = existing(known)
    if task.version != command.version:
        raise TaskChanged
    if not task.is_open:
        raise TaskClosed
    changes = {name: value for name, value in command.changes.items() if value != getattr(task, name)}
    status = changes.get("status", task.status)
    if task.kind is TaskKind.FULFIL and status in CLOSED:
        raise BoundToOrder
    if status is TaskStatus.COMPLETED:
        changes["completed_at"] = at
    # The names are fields and the values have their types: the routes build them from a validated body.
    return replace(task, **changes, version=task.version + 1, updated_at=at) if changes else task  # type: ignore[arg-type]


def delete(known: Task | None, at: datetime) -> Task:
    task = existing(known)
    if task.kind is TaskKind.FULFIL:
        raise BoundToOrder
    return replace(task, deleted_at=at, version=task.version + 1, updated_at=at)


def close(task: Task, status: TaskStatus, at: datetime) -> Task:
    """The open task, completed or cancelled."""
    completed_at = at if status is TaskStatus.COMPLETED else None
    return replace(task, status=status, version=task.version + 1, updated_at=at, completed_at=completed_at)


def existing(known: Task | None) -> Task:
    if known is None or known.deleted_at is not None:
        raise TaskUnknown
    return known


def check(known: Task | None, opened: Task, at: datetime) -> Task | None:
    """A thing for a person to look at, once until it is closed; None when it is on the list already."""
    if known is None:
        return opened
    if known.is_open:
        return None
    return replace(opened, version=known.version + 1, created_at=known.created_at, updated_at=at)
