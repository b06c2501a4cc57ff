"""E6: every transition that tells an event has told it under exactly one id."""

from ordermill.audit.events import OLD_AND_NEW
from ordermill.audit.invariant import Invariant, Kind

# The event log by event: topic, order, version of the aggregate that tells, id, cause, and what it says.
_TOLD = f"""
    told AS MATERIALIZED (
        SELECT DISTINCT ON (o.service, e.id) o.service, e.type AS topic, e.subject::uuid AS order_id,
            e.sequence::int AS version, e.id, e.causationid, e.data
        FROM ({OLD_AND_NEW.format(where="o.topic = ANY($about_orders::text[]) AND o.id >= $horizon::uuid")}) o,
            json_to_recordset(o.events::json)
                AS e(type text, subject text, sequence text, id uuid, causationid uuid, data json)
    )
"""  # noqa: S608 -- written above

# What the domain tells at each step of an order was found by driving it (`legal.STEPS`): a version that told something
# else, or the same thing under two ids, is broken. Steps that the machine does not know (an erasure) tell nothing.
_ORDERS = """
    SELECT 'order ' || coalesce(h.cause, 'unknown') AS transition, coalesce(h.order_id, t.order_id) AS order_id,
        coalesce(h.version, t.version) AS version, t.topics AS told
    FROM (
        SELECT * FROM order_service.order_history h WHERE h.cause_id >= $kept::uuid /* orders: h.order_id */
    ) h
    LEFT JOIN (
        SELECT order_id, version, string_agg(topic, ',' ORDER BY topic) AS topics
        FROM told WHERE service = 'order_service' GROUP BY order_id, version
    ) t USING (order_id, version)
    LEFT JOIN jsonb_to_recordset($steps::jsonb) AS step("from" text, cause text, "to" text, topics text)
        ON (step."from", step.cause, step."to", step.topics)
            = (coalesce(h.from_status, 'none'), h.cause, h.to_status, coalesce(t.topics, ''))
    WHERE step.cause IS NULL AND EXISTS (
        SELECT 1 FROM jsonb_to_recordset($steps::jsonb) AS known("from" text, cause text, "to" text)
        WHERE (known."from", known.cause, known."to") = (coalesce(h.from_status, 'none'), h.cause, h.to_status))
    UNION ALL
    SELECT 'none, but ' || topic, t.order_id, t.version, t.topic FROM told t
    WHERE t.service = 'order_service' AND NOT EXISTS (
        SELECT 1 FROM order_service.order_history h WHERE (h.order_id, h.version) = (t.order_id, t.version))
        /* orders: t.order_id */
"""

# The other services keep no history: each thing that they have is held against the event that announced it.
_DUE = """
    SELECT r.order_id, CASE r.status WHEN 'rejected' THEN 'stock.rejected' ELSE 'stock.reserved' END AS topic,
        NULL AS detail, false AS again
    FROM inventory_service.reservations r
    WHERE r.status <> 'void' AND r.order_id >= $kept::uuid /* orders: r.order_id */
    UNION ALL
    SELECT r.order_id, 'stock.released', NULL, true FROM inventory_service.reservations r
    WHERE r.status IN ('void', 'released') AND r.updated_at >= $kept_at::timestamptz /* orders: r.order_id */
    UNION ALL
    SELECT r.order_id, announced.topic, s.id::text, false
    FROM inventory_service.reservations r,
        jsonb_to_recordset(r.shipments) AS s(id uuid, delivered_at text),
        LATERAL (
            SELECT 'shipment.dispatched' AS topic
            UNION ALL SELECT 'shipment.delivered' WHERE s.delivered_at IS NOT NULL
        ) announced
    WHERE s.id >= $kept::uuid /* orders: r.order_id */
    UNION ALL
    SELECT a.order_id, CASE a.status WHEN 'succeeded' THEN 'payment.succeeded' ELSE 'payment.failed' END,
        a.attempt::text, false
    FROM payment_service.payment_attempts a JOIN payment_service.payments p ON p.id = a.payment_id
    WHERE a.status IN ('succeeded', 'failed') AND a.settled_at >= $kept_at::timestamptz
        AND NOT (p.cancel_flagged AND a.attempt = (
            SELECT max(last.attempt) FROM payment_service.payment_attempts last WHERE last.payment_id = p.id))
        /* orders: p.order_id */
    UNION ALL
    SELECT f.order_id, 'refund.' || f.status, f.refund_id::text, false FROM payment_service.refunds f
    JOIN payment_service.payments p ON p.id = f.payment_id
    WHERE NOT f.reverses AND f.status IN ('succeeded', 'failed') AND f.settled_at >= $kept_at::timestamptz
        /* orders: p.order_id */
    UNION ALL
    SELECT p.order_id, 'payment.cancelled', NULL, true FROM payment_service.payments p
    WHERE p.status IN ('cancelled', 'reversed') AND p.updated_at >= $kept_at::timestamptz /* orders: p.order_id */
"""

# What a cancellation makes them tell is told again when it is asked again; each time by another cause.
_OTHERS = f"""
    SELECT due.topic, due.order_id, NULL::int, count(DISTINCT t.id) || ' × ' || coalesce(due.detail, due.topic)
    FROM ({_DUE}) due LEFT JOIN (
        SELECT order_id, topic, id, coalesce(
            data ->> 'shipment_id', data ->> 'refund_id', CASE WHEN topic LIKE 'payment.%' THEN data ->> 'attempt' END
        ) AS detail FROM told WHERE service <> 'order_service'
    ) t ON (t.order_id, t.topic) = (due.order_id, due.topic) AND (due.detail IS NULL OR t.detail = due.detail)
    GROUP BY due.order_id, due.topic, due.detail, due.again
    HAVING count(DISTINCT t.id) <> 1 AND NOT (due.again AND count(DISTINCT t.id) > 1)
    UNION ALL
    SELECT t.topic, t.order_id, t.version, count(DISTINCT t.id) || ' by one cause' FROM told t
    WHERE t.service <> 'order_service' /* orders: t.order_id */
    GROUP BY t.topic, t.order_id, t.version, t.causationid HAVING count(DISTINCT t.id) > 1
"""  # noqa: S608 -- written above

TELLING = (
    Invariant(
        "E6",
        Kind.DRAINED,
        "every transition that is marked with an event has exactly one event id",
        f"WITH {_TOLD} {_ORDERS} UNION ALL {_OTHERS}",
    ),
)
