"""O: the orders, their deadlines and their history. What is legal is generated from the domain (`legal`)."""

from ordermill.audit.invariant import Invariant, Kind
from ordermill.audit.payments import CHECKED

# How long a moment that has passed has been anybody's fault: windows of faults are taken out.
OVERDUE = """
    now() - {since} - coalesce((
        SELECT sum(least(now(), w.until) - greatest({since}, w.since))
        FROM jsonb_to_recordset($outages::jsonb) AS w(since timestamptz, until timestamptz)
        WHERE w.until > {since} AND w.since < now()), interval '0')
"""

_TOLD = "jsonb_to_recordset($told::jsonb) AS told(order_id uuid, customer_id uuid, key text, reference text)"

ORDERS = (
    Invariant(
        "O1",
        Kind.ALWAYS,
        "every order answered with 2xx exists",
        f"""
        SELECT told.order_id, told.customer_id, told.key FROM {_TOLD}
        WHERE NOT EXISTS (
            SELECT 1 FROM order_service.orders o WHERE o.id = told.order_id AND o.customer_id = told.customer_id)
        """,  # noqa: S608 -- written above
    ),
    # By what clients were told; and against the answers that are stored, which live for seven days.
    Invariant(
        "O2",
        Kind.ALWAYS,
        "one order per principal and idempotency key",
        f"""
        SELECT told.customer_id, told.key, array_agg(DISTINCT told.order_id::text) AS orders FROM {_TOLD}
        GROUP BY told.customer_id, told.key HAVING count(DISTINCT told.order_id) > 1
        UNION ALL
        SELECT told.customer_id, told.key, ARRAY[told.reference, i.headers ->> 'Location'] FROM {_TOLD}
        JOIN order_service.idempotency i
            ON (i.user_id, i.operation, i.key) = (told.customer_id, 'createOrder', told.key)
        WHERE i.headers ->> 'Location' NOT LIKE '%/' || told.reference
        UNION ALL
        SELECT i.user_id, i.key, array_agg(i.headers ->> 'Location') FROM order_service.idempotency i
        WHERE i.operation = 'createOrder' /* since: i.created_at */
        GROUP BY i.user_id, i.key HAVING count(*) > 1
        """,  # noqa: S608 -- written above
    ),
    # Confirmed waits for the warehouse, which has to have it on its list; shipped waits for its carrier.
    Invariant(
        "O3",
        Kind.DRAINED,
        "every order is terminal, or waits for a person",
        f"""
        SELECT o.id AS order_id, o.status, o.payment_status, o.cancel_phase, o.stock_settled, o.money_settled
        FROM order_service.orders o
        WHERE CASE o.status
                WHEN 'pending' THEN true
                WHEN 'awaiting_payment' THEN o.method IS NOT NULL
                    AND o.attempt <> o.last_failed_attempt AND NOT {CHECKED.format(order="o.id")}
                WHEN 'cancelling' THEN NOT {CHECKED.format(order="o.id")}
                WHEN 'shipped' THEN false
                ELSE o.status IN ('confirmed', 'partially_shipped') AND NOT EXISTS (
                    SELECT 1 FROM inventory_service.tasks t
                    WHERE t.order_id = o.id AND t.kind = 'fulfil' AND t.status NOT IN ('completed', 'cancelled'))
            END /* orders: o.id */
        """,  # noqa: S608 -- written above
    ),
    Invariant(
        "O4",
        Kind.ALWAYS,
        "no order is past its deadline by more than 60 s (windows of faults apart)",
        f"""
        SELECT o.id AS order_id, o.status, o.due_at FROM order_service.orders o
        WHERE o.due_at < now() - interval '60 s' AND {OVERDUE.format(since="o.due_at")} > interval '60 s'
        """,  # noqa: S608 -- written above
    ),
    Invariant(
        "O5",
        Kind.ALWAYS,
        "only legal transitions",
        """
        SELECT h.order_id, h.version, h.from_status, h.to_status, h.cause FROM order_service.order_history h
        WHERE h.from_status IS DISTINCT FROM h.to_status AND NOT EXISTS (
            SELECT 1 FROM jsonb_to_recordset($transitions::jsonb) AS legal("from" text, "to" text)
            WHERE (legal."from", legal."to") = (coalesce(h.from_status, 'none'), h.to_status)) /* orders: h.order_id */
        """,
    ),
    # Each entry begins where the one before it ended, and the last one is the row.
    Invariant(
        "O6",
        Kind.ALWAYS,
        "history has no gaps, and is equal to the row",
        """
        SELECT coalesce(o.id, h.order_id) AS order_id, o.status, o.version, h.versions, h.last, h.breaks
        FROM (SELECT * FROM order_service.orders o WHERE true /* orders: o.id */) o
        FULL JOIN (
            SELECT order_id, max(version) AS last, count(*) AS versions,
                count(*) FILTER (WHERE breaks) AS breaks,
                (array_agg(ROW(to_status, payment_status, fulfilment_status, at)::text ORDER BY version DESC))[1] AS now
            FROM (
                SELECT h.*, h.from_status IS DISTINCT FROM lag(h.to_status) OVER (
                    PARTITION BY h.order_id ORDER BY h.version) AS breaks
                FROM order_service.order_history h WHERE true /* orders: h.order_id */
            ) h GROUP BY order_id
        ) h ON h.order_id = o.id
        WHERE h.breaks IS DISTINCT FROM 0 OR h.versions <> h.last OR h.last IS DISTINCT FROM o.version
            OR h.now <> ROW(o.status, o.payment_status, o.fulfilment_status, o.updated_at)::text
        """,
    ),
    Invariant(
        "O7",
        Kind.ALWAYS,
        "terminal is final",
        """
        SELECT h.order_id, h.version, h.from_status, h.to_status, h.cause FROM order_service.order_history h
        WHERE h.from_status = ANY($terminal::text[]) AND h.to_status <> h.from_status /* orders: h.order_id */
        """,
    ),
    Invariant(
        "O8",
        Kind.ALWAYS,
        "the total is the sum of the lines and adjustments",
        """
        SELECT o.id AS order_id, o.total, o.lines_total, o.adjustments_total, counted.lines, counted.adjustments
        FROM order_service.orders o, LATERAL (
            SELECT (SELECT coalesce(sum(line.quantity * line.unit_price), 0)
                    FROM jsonb_to_recordset(o.lines) AS line(quantity bigint, unit_price bigint)) AS lines,
                (SELECT coalesce(sum(extra.amount), 0)
                    FROM jsonb_to_recordset(o.adjustments) AS extra(amount bigint)) AS adjustments
        ) counted
        WHERE (o.lines_total, o.adjustments_total, o.total)
            <> (counted.lines, counted.adjustments, counted.lines + counted.adjustments) /* orders: o.id */
        """,
    ),
)
