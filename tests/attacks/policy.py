"""Who may do what, route by route: the one place where it is written down beside the code that enforces it.

A route of the merged document that is not here fails the tests, and so does a line here without a route.
"""

from collections.abc import Mapping
from typing import NamedTuple

PEOPLE = ("anonymous", "owner", "another customer", "staff", "admin")
KEYS = ("owner's key", "owner's key without the scope", "staff's key", "staff's key without the scope")
EVERYBODY = (*PEOPLE, *KEYS)

SIGN_IN, FORBIDDEN, HIDDEN = 401, 403, 404


class Policy(NamedTuple):
    """The status that each identity is answered with, and the scope that a key needs; None where no key will do."""

    statuses: Mapping[str, int]
    scope: str | None = None

    @property
    def is_public(self) -> bool:
        return self.statuses["anonymous"] != SIGN_IN


def anybody(done: int = 200) -> Policy:
    """The same for all of them, whatever they hold in their hands."""
    return Policy(dict.fromkeys(EVERYBODY, done))


def oneself(done: int = 200) -> Policy:
    """One's own account, which no key may touch."""
    return _policy(dict.fromkeys(("owner", "another customer", "staff", "admin"), done))


def owner_alone(done: int = 200) -> Policy:
    """What belongs to the owner's account: for everybody else it is not there."""
    return _policy({"owner": done} | dict.fromkeys(("another customer", "staff", "admin"), HIDDEN))


def each_their_own(scope: str, done: int = 200) -> Policy:
    """Lists and things that each caller has some of."""
    people = dict.fromkeys(("owner", "another customer", "staff", "admin"), done)
    return _policy(people | dict.fromkeys(("owner's key", "staff's key"), done), scope)


def owner_and_staff(scope: str, done: int = 200) -> Policy:
    """An order, and what belongs to it: for another customer it is not there."""
    allowed = ("owner", "staff", "admin", "owner's key", "staff's key")
    return _policy(dict.fromkeys(allowed, done) | {"another customer": HIDDEN}, scope)


def owner_and_nobody_else(scope: str, done: int = 200) -> Policy:
    """What even staff may not do for a customer."""
    others = ("another customer", "staff", "admin", "staff's key")
    return _policy(dict.fromkeys(others, HIDDEN) | dict.fromkeys(("owner", "owner's key"), done), scope)


def staff(scope: str, done: int = 200) -> Policy:
    """Those who work here."""
    return _policy(dict.fromkeys(("staff", "admin", "staff's key"), done), scope)


def admin(done: int = 200) -> Policy:
    """Administrators, in person."""
    return _policy({"admin": done})


def _policy(statuses: Mapping[str, int], scope: str | None = None) -> Policy:
    return Policy(dict.fromkeys(EVERYBODY, FORBIDDEN) | {"anonymous": SIGN_IN} | statuses, scope)


POLICY: Mapping[str, Policy] = {
    # auth_service
    "registerUser": anybody(201),
    "login": anybody(),
    "loginForm": anybody(),
    "exchangeToken": anybody(404),  # no issuer is configured here
    "exchangeApiKey": anybody(),
    "refreshToken": anybody(),
    "getJwks": anybody(),
    "getMe": oneself(),
    "updateMe": oneself(),
    "exportMe": oneself(),
    "changePassword": oneself(204),
    "logout": oneself(204),
    "listSessions": oneself(),
    "revokeSession": owner_alone(204),
    "createApiKey": oneself(201),
    "listApiKeys": oneself(),
    "revokeApiKey": owner_alone(204),
    "listUsers": admin(),
    "getUser": admin(),
    "updateUser": admin(),
    "deleteUser": admin(204),
    "exportUser": admin(),
    "listSecurityEvents": admin(),
    # order_service
    "createQuote": anybody(),
    "createOrder": each_their_own("orders:write", 201),
    "listOrders": each_their_own("orders:read"),
    "getOrder": owner_and_staff("orders:read"),
    "listOrderEvents": owner_and_staff("orders:read"),
    "streamOrder": owner_and_staff("orders:read"),
    "cancelOrder": owner_and_staff("orders:write", 202),
    "payOrder": owner_and_staff("payments:write", 202),
    "refundOrder": staff("payments:write", 202),
    # inventory_service
    "listProducts": anybody(),
    "getProduct": anybody(),
    "getAvailability": anybody(),
    "createProduct": staff("products:write", 201),
    "updateProduct": staff("products:write"),
    "archiveProduct": staff("products:write", 204),
    "listStock": staff("stock:read"),
    "getStock": staff("stock:read"),
    "adjustStock": staff("stock:write", 201),
    "listMovements": staff("stock:read"),
    "listReservations": staff("stock:read"),
    "listTasks": staff("tasks:read"),
    "createTask": staff("tasks:write", 201),
    "getTask": staff("tasks:read"),
    "updateTask": staff("tasks:write"),
    "replaceTask": staff("tasks:write"),
    "deleteTask": staff("tasks:write", 204),
    "completeTask": staff("tasks:write"),
    "recordDelivery": staff("tasks:write"),
    "receiveReturn": staff("tasks:write", 201),
    # payment_service
    "listPayments": each_their_own("payments:read"),
    "getPayment": owner_and_staff("payments:read"),
    "listRefunds": owner_and_staff("payments:read"),
    "createPayment": owner_and_nobody_else("payments:write", 201),
    "resolvePayment": staff("payments:write", 409),  # they may, but there is nothing to resolve
    "listTestTokens": anybody(),
    "receiveProviderWebhook": anybody(),  # whoever can sign it
    # notification_service
    "listNotifications": each_their_own("notifications:read"),
    "getNotification": owner_and_staff("notifications:read"),
    "resendNotification": staff("notifications:write", 202),
    "getPreferences": each_their_own("notifications:read"),
    "setPreferences": each_their_own("notifications:write"),
}
