"""P: the money, in the provider's own books and in ours."""

from ordermill.audit.invariant import Invariant, Kind

# What the customer is charged in the end, in the provider's books.
_NET = """
    SELECT order_id, sum(amount) AS net FROM (
        SELECT c.order_id, c.amount FROM provider.charges c
        WHERE c.status = 'captured' /* orders: c.order_id */
        UNION ALL
        SELECT f.order_id, -f.amount FROM provider.refunds f
        WHERE f.status = 'succeeded' /* orders: f.order_id */
    ) moved GROUP BY order_id
"""

# A task that says so: somebody has it on the list. One that was closed while the question is open says nothing.
CHECKED = """
    EXISTS (
        SELECT 1 FROM inventory_service.tasks t
        WHERE t.order_id = {order} AND t.kind = 'check' AND t.status NOT IN ('completed', 'cancelled')
            AND t.deleted_at IS NULL)
"""

PAYMENTS = (
    Invariant(
        "P1",
        Kind.ALWAYS,
        "at most one net capture an order, in the provider's books",
        """
        SELECT order_id, count(*) AS captures, array_agg(key ORDER BY key) AS keys FROM (
            SELECT c.order_id, c.key FROM provider.charges c
            LEFT JOIN provider.refunds f ON f.charge_key = c.key AND f.status = 'succeeded' AND f.order_id = c.order_id
            WHERE c.status = 'captured' /* orders: c.order_id */
            GROUP BY c.order_id, c.key, c.amount HAVING c.amount > coalesce(sum(f.amount), 0)
        ) captured GROUP BY order_id HAVING count(*) > 1
        """,
    ),
    Invariant(
        "P2",
        Kind.ALWAYS,
        "refunds are never more than captures, in the provider's books",
        """
        SELECT c.order_id, c.key, c.amount AS captured, c.refunded, coalesce(sum(f.amount), 0) AS returned
        FROM provider.charges c
        LEFT JOIN provider.refunds f ON f.charge_key = c.key AND f.status = 'succeeded' AND f.order_id = c.order_id
        WHERE true /* orders: c.order_id */
        GROUP BY c.order_id, c.key, c.amount, c.refunded, c.status
        HAVING coalesce(sum(f.amount), 0) > CASE c.status WHEN 'captured' THEN c.amount ELSE 0 END
            OR coalesce(sum(f.amount), 0) <> c.refunded
        """,
    ),
    Invariant(
        "P3",
        Kind.ALWAYS,
        "what was captured is the order's total",
        """
        SELECT o.id AS order_id, o.total, o.currency, c.amount AS captured, c.currency AS captured_in, c.key
        FROM provider.charges c JOIN order_service.orders o ON o.id = c.order_id
        WHERE c.status = 'captured' AND (c.amount, c.currency) <> (o.total, o.currency) /* orders: c.order_id */
        UNION ALL
        SELECT o.id, o.total, o.currency, p.captured, p.currency, NULL
        FROM payment_service.payments p JOIN order_service.orders o ON o.id = p.order_id
        WHERE p.captured > 0 AND (p.captured, p.currency) <> (o.total, o.currency) /* orders: p.order_id */
        """,
    ),
    # Entry by entry; and what a payment says, its status too, is what its entries say.
    Invariant(
        "P4",
        Kind.DRAINED,
        "our ledger is the provider's books",
        """
        SELECT key, ours.order_id, ours.amount AS ours, theirs.amount AS theirs
        FROM (
            SELECT l.key, l.order_id, l.kind, l.amount, l.currency FROM payment_service.ledger l
            WHERE true /* orders: l.order_id */
        ) ours FULL JOIN (
            SELECT c.key, c.order_id, 'capture' AS kind, c.amount, c.currency FROM provider.charges c
            WHERE c.status = 'captured' /* orders: c.order_id */
            UNION ALL
            SELECT f.key, f.order_id, 'refund', f.amount, c.currency
            FROM provider.refunds f JOIN provider.charges c ON c.key = f.charge_key
            WHERE f.status = 'succeeded' /* orders: f.order_id */
        ) theirs USING (key)
        WHERE (ours.order_id, ours.kind, ours.amount, ours.currency)
            IS DISTINCT FROM (theirs.order_id, theirs.kind, theirs.amount, theirs.currency)
        UNION ALL
        SELECT NULL, p.order_id, p.captured - p.refunded, coalesce(l.net, 0)
        FROM payment_service.payments p LEFT JOIN (
            SELECT l.order_id, sum(l.amount) FILTER (WHERE l.kind = 'capture') AS captured,
                coalesce(sum(l.amount) FILTER (WHERE l.kind = 'refund'), 0) AS refunded,
                sum(CASE l.kind WHEN 'capture' THEN l.amount ELSE -l.amount END) AS net
            FROM payment_service.ledger l WHERE true /* orders: l.order_id */ GROUP BY l.order_id
        ) l USING (order_id)
        WHERE ((p.captured, p.refunded) <> (coalesce(l.captured, 0), coalesce(l.refunded, 0))
            OR (p.status IN ('captured', 'reversing', 'reversed')) <> (l.captured IS NOT NULL)) /* orders: p.order_id */
        """,
    ),
    # What is granted is what the order knows to be back. An order that is being cancelled says nothing yet.
    Invariant(
        "P5",
        Kind.DRAINED,
        "confirmed or later: net is the total less the refunds granted; rejected or cancelled: net is nothing",
        f"""
        SELECT o.id AS order_id, o.status, o.total, o.refunded_total, coalesce(n.net, 0) AS net
        FROM order_service.orders o LEFT JOIN ({_NET}) n ON n.order_id = o.id
        WHERE coalesce(n.net, 0) <> CASE
                WHEN o.status IN ('confirmed', 'partially_shipped', 'shipped', 'delivered')
                    THEN o.total - o.refunded_total
                WHEN o.status IN ('rejected', 'cancelled') THEN 0
                ELSE coalesce(n.net, 0)
            END /* orders: o.id */
        """,  # noqa: S608 -- written above
    ),
    Invariant(
        "P6",
        Kind.DRAINED,
        "no payment is processing, unknown or reversing, and no refund on its way, unless a task says so",
        f"""
        SELECT p.order_id, p.id AS payment_id, p.status, f.refund_id, f.status AS refund
        FROM payment_service.payments p
        LEFT JOIN payment_service.refunds f ON f.payment_id = p.id AND f.status IN ('requested', 'sent', 'unknown')
        WHERE (p.status IN ('processing', 'unknown', 'reversing') OR f.refund_id IS NOT NULL)
            AND NOT {CHECKED.format(order="p.order_id")} /* orders: p.order_id */
        """,  # noqa: S608 -- written above
    ),
    # An order that is not there has not changed lately: its id says when it would have been placed.
    Invariant(
        "P7",
        Kind.ALWAYS,
        "no money for an order that does not exist",
        """
        SELECT money.order_id, money.key FROM (
            SELECT c.order_id, c.key FROM provider.charges c WHERE c.status = 'captured' /* ids: c.order_id */
            UNION
            SELECT l.order_id, l.key FROM payment_service.ledger l WHERE true /* ids: l.order_id */
        ) money
        WHERE NOT EXISTS (SELECT 1 FROM order_service.orders o WHERE o.id = money.order_id)
        """,
    ),
)
