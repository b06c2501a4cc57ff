"""Counters for Prometheus: what the pipeline decided, how large its batches are, what the edges answered."""

from prometheus_client import Counter, Gauge, Histogram

ITEMS = Counter("ordermill_items", "Commands and facts settled.", ["service", "type", "outcome"])
BATCH = Histogram(
    "ordermill_batch_items", "Items in one transaction.", ["service"], buckets=(1, 2, 5, 10, 20, 50, 100, 200)
)
BATCH_SECONDS = Histogram("ordermill_batch_seconds", "From begin to commit.", ["service"])
REQUESTS = Counter("ordermill_http_requests", "Requests answered.", ["service", "method", "status"])
REQUEST_SECONDS = Histogram("ordermill_http_request_seconds", "From request to answer.", ["service"])
LOOPS = Gauge("ordermill_loop_seconds", "Since a loop came round; 0 while it has nothing to do.", ["loop"])
LAG = Gauge("ordermill_event_loop_lag_seconds", "By how much the event loop came late lately.")
REFUSED = Counter("ordermill_http_refused", "Requests refused unread, since too many were at work.")
PUBLISHED = Counter("ordermill_parcels_published", "Parcels that the broker confirmed.", ["service"])
UNPUBLISHED = Gauge("ordermill_outbox_unpublished", "Parcels waiting for the relay.", ["service"])
UNROUTABLE = Counter("ordermill_parcels_unroutable", "Parcels that the broker could not route.", ["service"])
CATALOGUE = Gauge(
    "ordermill_catalogue_versions", "Versions of products: the sum that a service has come to know of.", ["service"]
)
