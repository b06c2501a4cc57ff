"""The work list of the warehouse and the operators."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from chassis.http import Answer, Edge, IfMatch, IfNoneMatch, Listing, Paging, Staff, etag, found, listing
from chassis.ids import OrderRef, TaskRef, UserRef, typeid
from chassis.problems import problems
from contracts.types import OrderId, Priority, UserId
from inventory_service.domain.shipping import CompleteTask
from inventory_service.domain.task import CreateTask, DeleteTask, Task, TaskStatus, UpdateTask
from inventory_service.schemas import TaskCompletion, TaskCreate, TaskReplace, TaskUpdate, TaskView
from inventory_service.store.tasks import find_task, list_tasks

router = APIRouter(tags=["tasks"])

_CHANGING = problems(
    "token_missing",
    "forbidden",
    "not_found",
    "task_closed",
    "version_mismatch",
    "precondition_required",
    "unknown_field",
)


@router.get(
    "/tasks",
    operation_id="listTasks",
    responses=problems("token_missing", "forbidden", "cursor_invalid", "validation_failed"),
)
async def list_all(  # noqa: PLR0913 -- each filter is a parameter
    _caller: Staff,
    edge: Edge,
    page: Paging,
    *,
    status: Annotated[list[TaskStatus], Query(max_length=10)] = [],  # noqa: B006 -- FastAPI copies defaults
    priority: Annotated[list[Priority], Query(max_length=10)] = [],  # noqa: B006 -- FastAPI copies defaults
    assignee: Annotated[list[UserRef], Query(max_length=100)] = [],  # noqa: B006 -- FastAPI copies defaults
    order_id: Annotated[list[OrderRef], Query(max_length=100)] = [],  # noqa: B006 -- FastAPI copies defaults
) -> Listing[TaskView]:
    """List the work of the warehouse and the operators, the newest first. For staff."""
    async with edge.read() as tx:
        rows = await list_tasks(tx, page, status=status, priority=priority, assignee=assignee, order_id=order_id)
    return listing(page, rows, TaskView.model_validate, lambda task: (task.created_at, task.id))


@router.post(
    "/tasks",
    operation_id="createTask",
    status_code=201,
    response_model=TaskView,
    responses=problems("token_missing", "forbidden", "validation_failed", "unknown_field"),
)
async def create_task(_caller: Staff, edge: Edge, body: TaskCreate) -> Response:
    """Note down a task by hand: the shop opens those that ship or check by itself. For staff."""
    command = CreateTask(
        title=body.title,
        description=body.description,
        status=body.status,
        priority=body.priority,
        assignee=UserId(body.assignee) if body.assignee else None,
        due_at=body.due_at,
        order_id=OrderId(body.order_id) if body.order_id else None,
    )
    return await edge.submit(command, _created)


@router.get(
    "/tasks/{task_id}",
    operation_id="getTask",
    response_model=TaskView,
    responses=problems("token_missing", "forbidden", "not_found", "validation_failed"),
)
async def get_task(_caller: Staff, edge: Edge, task_id: TaskRef, _known: IfNoneMatch = None) -> Response:
    """Show a task: its version is the `ETag`. For staff."""
    async with edge.read() as tx:
        task = found(await find_task(tx, task_id))
    return edge.tagged(TaskView.model_validate(task), task.version)


@router.patch("/tasks/{task_id}", operation_id="updateTask", response_model=TaskView, responses=_CHANGING)
async def update_task(_caller: Staff, edge: Edge, task_id: TaskRef, version: IfMatch, body: TaskUpdate) -> Response:
    """Change a task's fields: only if nobody else did since its `ETag` was read (`If-Match`). For staff."""
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    return await edge.submit(UpdateTask(task_id=task_id, version=version, changes=changes), _changed)


@router.put("/tasks/{task_id}", operation_id="replaceTask", response_model=TaskView, responses=_CHANGING)
async def replace_task(_caller: Staff, edge: Edge, task_id: TaskRef, version: IfMatch, body: TaskReplace) -> Response:
    """Replace a task's fields: what is left out gets its default. For staff.

    As with `PATCH`, only if nobody else changed it since its `ETag` was read (`If-Match`).
    """
    changes = {name: getattr(body, name) for name in TaskReplace.model_fields}
    return await edge.submit(UpdateTask(task_id=task_id, version=version, changes=changes), _changed)


@router.delete(
    "/tasks/{task_id}",
    operation_id="deleteTask",
    status_code=204,
    responses=problems("token_missing", "forbidden", "not_found", "task_closed", "validation_failed"),
)
async def delete_task(_caller: Staff, edge: Edge, task_id: TaskRef) -> Response:
    """Take a task off the list. For staff."""
    return await edge.submit(DeleteTask(task_id=task_id), lambda _: Answer(None, 204))


@router.post(
    "/tasks/{task_id}/complete",
    operation_id="completeTask",
    response_model=TaskView,
    responses=problems(
        "token_missing", "forbidden", "not_found", "task_closed", "insufficient_stock", "validation_failed"
    ),
)
async def complete_task(_caller: Staff, edge: Edge, task_id: TaskRef, body: TaskCompletion | None = None) -> Response:
    """Complete a task: one that fulfils an order ships it. For staff.

    `carrier` and `tracking_number` go to the shipment, and with it to the customer.
    """
    done = body or TaskCompletion()
    async with edge.read() as tx:
        task = found(await find_task(tx, task_id))
    command = CompleteTask(
        task_id=task_id, order_id=task.order_id, carrier=done.carrier, tracking_number=done.tracking_number
    )
    return await edge.submit(command, _changed)


def _created(task: Task) -> Answer:
    headers = {"ETag": etag(task.version), "Location": f"/api/v1/tasks/{typeid('tsk', task.id)}"}
    return Answer(TaskView.model_validate(task), 201, headers)


def _changed(task: Task) -> Answer:
    return Answer(TaskView.model_validate(task), headers={"ETag": etag(task.version)})
