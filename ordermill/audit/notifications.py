"""N: the mails. One for each event of the list, and none that says what is not so."""

from ordermill.audit.events import OLD_AND_NEW
from ordermill.audit.invariant import Invariant, Kind

NOTIFICATIONS = (
    # Whom an erased customer's mail was for is erased with it. What a person has discarded makes no mail.
    Invariant(
        "N1",
        Kind.DRAINED,
        "one notification per event of the list of mails",
        f"""
        WITH due AS (
            SELECT o.id AS parcel_id, e.id AS event_id, mail.template,
                CASE WHEN mail.to_staff THEN 'staff' ELSE e.data ->> 'customer_id' END AS recipient
            FROM ({OLD_AND_NEW.format(where="o.id >= $horizon::uuid")}) o
            JOIN jsonb_to_recordset($mails::jsonb) AS mail(topic text, template text, to_staff boolean) USING (topic),
                json_to_recordset(o.events::json) AS e(id uuid, data json)
            WHERE o.published_at IS NOT NULL AND NOT EXISTS (
                SELECT 1 FROM notification_service.acts a
                WHERE a.act = 'discard' AND a.message_id = o.id AND strpos(a.body, e.id::text) > 0)
        )
        SELECT event_id, due.template, due.recipient, count(DISTINCT n.id) AS times
        FROM due LEFT JOIN notification_service.notifications n USING (event_id)
        WHERE true /* parcels: due.parcel_id */ GROUP BY event_id, due.template, due.recipient
        HAVING count(DISTINCT n.id) <> 1 OR min(n.template) <> due.template
            OR min(n.recipient) NOT IN (due.recipient, 'erased')
        UNION ALL
        SELECT n.event_id, n.template, n.recipient, 0 FROM notification_service.notifications n
        WHERE n.event_id >= $kept::uuid /* parcels: n.event_id */
            AND NOT EXISTS (SELECT 1 FROM due WHERE due.event_id = n.event_id)
        """,  # noqa: S608 -- written above
    ),
    # Held against the service that told the event, which has committed before; what an erased mail said is gone.
    Invariant(
        "N2",
        Kind.ALWAYS,
        "no notification contradicts the order's state",
        """
        SELECT n.id AS notification_id, n.template, n.order_id, o.status, p.status AS payment, r.status AS reservation
        FROM notification_service.notifications n
        LEFT JOIN (SELECT * FROM order_service.orders o WHERE true /* orders: o.id */) o ON o.id = n.order_id
        LEFT JOIN (
            SELECT * FROM payment_service.payments p WHERE true /* orders: p.order_id */
        ) p ON p.order_id = n.order_id
        LEFT JOIN (
            SELECT * FROM inventory_service.reservations r WHERE true /* orders: r.order_id */
        ) r ON r.order_id = n.order_id
        WHERE n.order_id IS NOT NULL AND CASE n.template
            WHEN 'order_confirmed' THEN o.confirmed_at IS NOT NULL
            WHEN 'order_rejected' THEN o.status = 'rejected'
            WHEN 'order_cancelled' THEN o.status = 'cancelled'
            WHEN 'payment_failed' THEN EXISTS (
                SELECT 1 FROM payment_service.payment_attempts a WHERE a.payment_id = p.id AND a.status = 'failed'
                    AND a.attempt = coalesce((n.data ->> 'attempt')::int, a.attempt))
            WHEN 'payment_unresolved' THEN p.id IS NOT NULL
            WHEN 'refund_succeeded' THEN EXISTS (
                SELECT 1 FROM payment_service.refunds f WHERE f.payment_id = p.id AND f.status = 'succeeded'
                    AND f.refund_id = coalesce((n.data ->> 'refund_id')::uuid, f.refund_id))
            WHEN 'refund_failed' THEN EXISTS (
                SELECT 1 FROM payment_service.refunds f WHERE f.payment_id = p.id AND f.status = 'failed'
                    AND f.refund_id = coalesce((n.data ->> 'refund_id')::uuid, f.refund_id))
            WHEN 'shipment_dispatched' THEN EXISTS (
                SELECT 1 FROM jsonb_to_recordset(r.shipments) AS s(id text)
                WHERE s.id = coalesce(n.data ->> 'shipment_id', s.id))
            WHEN 'shipment_delivered' THEN EXISTS (
                SELECT 1 FROM jsonb_to_recordset(r.shipments) AS s(id text, delivered_at text)
                WHERE s.id = coalesce(n.data ->> 'shipment_id', s.id) AND s.delivered_at IS NOT NULL)
        END IS NOT TRUE /* orders: n.order_id */
        """,
    ),
)
