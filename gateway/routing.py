"""Which service answers a path. What is in no row of the table cannot be reached through the gateway."""

from collections.abc import Mapping

PREFIX = "/api/v1"

_NOUNS = {
    "auth_service": ("auth", "users"),
    "order_service": ("quotes", "orders"),
    "inventory_service": ("products", "stock", "reservations", "tasks", "shipments", "returns"),
    "payment_service": ("payments",),
    "notification_service": (
        "notifications",
        "notification-preferences",
        "event-types",
        "webhook-endpoints",
        "webhook-deliveries",
    ),
}
TABLE: dict[str, str] = {
    "/.well-known/jwks.json": "auth_service",
    **{f"{PREFIX}/{noun}": service for service, nouns in _NOUNS.items() for noun in nouns},
}


class Routes:
    """The table, asked by path: the longest prefix of whole segments wins."""

    def __init__(self, table: Mapping[str, str]) -> None:
        self.table = dict(table)
        self._deepest = max(path.count("/") for path in table) + 1 if table else 0

    @property
    def services(self) -> list[str]:
        """Every service of the table, once, in its order."""
        return list(dict.fromkeys(self.table.values()))

    def find(self, path: str) -> str | None:
        """The service of a percent-decoded path. A path that climbs (`..`) is nobody's: it would end elsewhere."""
        if _climbs(path):
            return None
        segments = path.split("/", self._deepest)[: self._deepest]  # no prefix has more
        prefixes = ("/".join(segments[:count]) for count in range(len(segments), 0, -1))
        return next((self.table[prefix] for prefix in prefixes if prefix in self.table), None)


def _climbs(path: str) -> bool:
    return "/." in path and not {".", ".."}.isdisjoint(path.split("/"))
