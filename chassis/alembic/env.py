"""Alembic's environment for every service: connection, schema and metadata are the configuration's attributes."""

from alembic import context
from alembic.operations.ops import MigrationScript
from sqlalchemy.schema import SchemaItem

_attributes = context.config.attributes
_service: str = _attributes["service"]


def _ours(item: SchemaItem, name: str | None, kind: str, reflected: bool, _compared: SchemaItem | None) -> bool:  # noqa: FBT001 -- Alembic's signature
    partition = kind == "table" and reflected and str(name).startswith(("outbox_", "inbox_"))
    return not partition and name != "alembic_version" and item is not None


def _in_schema(name: str | None, kind: str, _parents: object) -> bool:
    return kind != "schema" or name == _service


def _only_differences(_context: object, _revision: object, directives: list[MigrationScript]) -> None:
    """A revision that would change nothing is not written."""
    if all(operations.is_empty() for script in directives for operations in script.upgrade_ops_list):
        directives.clear()


context.configure(
    connection=_attributes["connection"],
    target_metadata=_attributes["metadata"],
    include_schemas=True,
    include_name=_in_schema,
    include_object=_ours,
    version_table_schema=_service,
    process_revision_directives=_only_differences if _attributes["action"] == "revision" else None,
)
context.run_migrations()
