"""E: the events. Everything that was told arrives, once; nothing arrives that nobody told.

Parcels are kept for some days (`maintain_partitions`), each service's for itself. What may be gone somewhere is
excused: parcels before `$horizon`, effects of causes before `$kept`. An id says when its cause was: both are ids.
"""

from ordermill.audit.invariant import Invariant, Kind, of_every_service
from ordermill.audit.orders import OVERDUE

OUTBOXES = of_every_service("""
    SELECT '{service}' AS service, o.id, o.topic, o.events, o.created_at, o.not_before, o.attempts, o.published_at
    FROM {service}.outbox o WHERE {{where}} /* parcels: o.id */""")

NEWEST = OUTBOXES.replace("/* parcels:", "/* newest:").format(where="true")
# An order that changed lately may have begun long ago; and an event may travel behind a younger one, in its parcel.
OLD_AND_NEW = OUTBOXES.replace("/* parcels: o.id */", "")

_INBOXES = of_every_service("""
    SELECT '{service}' AS service, i.message_id
    FROM {service}.inbox i WHERE i.message_id >= $horizon::uuid /* parcels: i.message_id */""")

_DEFERRED = of_every_service("""
    SELECT '{service}' AS service, d.message_id, d.index, d.topic, d.subject, d.state, d.attempts, d.last_error
    FROM {service}.deferred d WHERE {{where}}""")
_LATE = "/* parcels: d.message_id */"

# What could not be read and a person then gave up was never in the inbox.
_DISCARDED = of_every_service("""
    SELECT DISTINCT '{service}' AS service, a.message_id
    FROM {service}.acts a WHERE a.act = 'discard' AND a.index = -1 /* parcels: a.message_id */""")

# A parcel that is told again waits since then; one that the broker would not route waits since it was told.
_WAITS_SINCE = "CASE o.attempts WHEN 0 THEN greatest(o.created_at, o.not_before) ELSE o.created_at END"

EVENTS = (
    Invariant(
        "E1",
        Kind.DRAINED,
        "the outbox is drained",
        f"SELECT service, id, topic, created_at, attempts FROM ({OUTBOXES.format(where='o.published_at IS NULL')}) o",  # noqa: S608 -- written above
    ),
    Invariant(
        "E2",
        Kind.ALWAYS,
        "no event waits longer than 30 s while broker and relay are up (windows of faults apart)",
        f"""
        SELECT o.service, o.id, o.topic, o.created_at, o.attempts
        FROM ({OLD_AND_NEW.format(where="o.published_at IS NULL")}) o
        WHERE {OVERDUE.format(since=_WAITS_SINCE)} > interval '30 s'
        """,  # noqa: S608 -- written above
    ),
    # A service that has only now begun to listen to a topic has missed what was told before, and shows here.
    Invariant(
        "E3",
        Kind.DRAINED,
        "every published event was handled by each of its listeners, is visible in its deferred, or was discarded",
        f"""
        SELECT o.service AS teller, o.topic, o.id, heard.listener
        FROM ({OUTBOXES.format(where="o.published_at IS NOT NULL AND o.id >= $horizon::uuid")}) o
        JOIN jsonb_to_recordset($listeners::jsonb) AS heard(topic text, listener text) USING (topic)
        LEFT JOIN ({_INBOXES}) i ON (i.service, i.message_id) = (heard.listener, o.id)
        LEFT JOIN ({_DEFERRED.format(where="true")}) d ON (d.service, d.message_id) = (heard.listener, o.id)
        LEFT JOIN ({_DISCARDED}) a ON (a.service, a.message_id) = (heard.listener, o.id)
        WHERE i.message_id IS NULL AND d.message_id IS NULL AND a.message_id IS NULL
        """,  # noqa: S608 -- written above
    ),
    Invariant(
        "E4",
        Kind.ALWAYS,
        "nothing was handled that nobody published",
        f"""
        SELECT i.service AS listener, i.message_id FROM ({_INBOXES}) i
        LEFT JOIN ({OUTBOXES.format(where="true")}) o ON o.id = i.message_id
        WHERE o.id IS NULL AND i.message_id <> ALL($poisoned::uuid[])
        """,  # noqa: S608 -- written above
    ),
    # The keys and unique indexes forbid most of it. An event's id follows from its cause, so that an effect that came
    # twice shows as one id in two parcels, or as two versions of an order with one cause.
    Invariant(
        "E5",
        Kind.ALWAYS,
        "every effect happened exactly once",
        f"""
        SELECT 'version of an order' AS effect, h.order_id::text AS of, h.cause_id::text AS cause, count(*) AS times
        FROM order_service.order_history h WHERE true /* orders: h.order_id */
        GROUP BY h.order_id, h.cause_id HAVING count(*) > 1
        UNION ALL
        SELECT 'event', e.id::text, o.service, count(*)
        FROM ({NEWEST}) o, json_to_recordset(o.events::json) AS e(id uuid)
        GROUP BY e.id, o.service HAVING count(*) > 1
        UNION ALL
        SELECT 'movement', m.id::text, m.reference::text, count(*) FROM inventory_service.stock_movements m
        WHERE true /* skus: m.sku */ /* since: m.created_at */ GROUP BY m.id, m.reference HAVING count(*) > 1
        UNION ALL
        SELECT 'entry of the ledger', l.key, l.order_id::text, count(*) FROM payment_service.ledger l
        WHERE true /* orders: l.order_id */ GROUP BY l.key, l.order_id HAVING count(*) > 1
        UNION ALL
        SELECT 'shipment', shipment ->> 'id', r.order_id::text, count(*)
        FROM inventory_service.reservations r, jsonb_array_elements(r.shipments) shipment
        WHERE true /* orders: r.order_id */ GROUP BY shipment ->> 'id', r.order_id HAVING count(*) > 1
        """,  # noqa: S608 -- written above
    ),
    Invariant(
        "E7",
        Kind.DRAINED,
        "nothing deferred is left",
        f"""
        SELECT service, message_id, index, topic, subject, attempts, last_error
        FROM ({_DEFERRED.format(where=f"d.state = 'deferred' {_LATE}")}) d
        """,  # noqa: S608 -- written above
    ),
    Invariant(
        "E8",
        Kind.DRAINED,
        "what is parked is what was injected",
        f"""
        WITH parked AS ({_DEFERRED.format(where="d.state = 'parked'")})
        SELECT service, message_id, index, topic, subject, attempts, last_error FROM parked d
        WHERE message_id <> ALL($poisoned::uuid[]) {_LATE}
        UNION ALL
        SELECT NULL, injected, NULL, NULL, NULL, NULL, 'was injected, and is not parked'
        FROM unnest($poisoned::uuid[]) injected
        WHERE injected NOT IN (SELECT message_id FROM parked UNION SELECT message_id FROM ({_DISCARDED}) a)
        """,  # noqa: S608 -- written above
    ),
)
