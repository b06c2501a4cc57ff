"""Idempotency keys: what makes two requests the same, and what a repetition is given."""

from uuid import UUID

from pydantic import BaseModel

from chassis.idempotency import Answer, Claim, KeyReused, again, fingerprint

USER = UUID(int=1)
CLAIM = Claim(USER, "createOrder", "k", b"same")


class Order(BaseModel):
    sku: str
    note: str | None = None
    metadata: dict[str, str] = {}


def test_order_and_absence_of_fields_do_not_make_another_request():
    first = Order.model_validate_json('{"sku": "A", "metadata": {"x": "1", "y": "2"}, "note": null}')
    second = Order.model_validate_json('{"metadata": {"y": "2", "x": "1"}, "sku": "A"}')

    assert fingerprint("/orders", first) == fingerprint("/orders", second)


def test_another_value_or_path_makes_another_request():
    prints = {fingerprint("/a", Order(sku="A")), fingerprint("/a", Order(sku="B")), fingerprint("/b", Order(sku="A"))}

    assert len(prints) == 3


def test_the_lock_of_a_scope_is_a_signed_number_of_64_bits_and_knows_nothing_of_the_body():
    locks = [Claim(USER, "createOrder", str(n), b"").lock for n in range(100)]

    assert len(set(locks)) == 100
    assert min(locks) < 0
    assert all(-(2**63) <= lock < 2**63 for lock in locks)
    assert CLAIM.lock == CLAIM._replace(fingerprint=b"other").lock
    assert CLAIM.scope == (USER, "createOrder", "k")


def test_a_repetition_is_given_the_first_answer_marked_as_replayed():
    first = Answer(Order(sku="A"), 201, {"ETag": '"1"'})

    replayed = again(CLAIM, first, CLAIM)

    assert (replayed.content, replayed.status, replayed.headers) == (first.content, 201, {"ETag": '"1"'})
    assert (first.replayed, replayed.replayed) == (False, True)


def test_a_key_that_was_used_for_another_request_is_refused():
    assert isinstance(again(CLAIM, Answer(None), CLAIM._replace(fingerprint=b"other")), KeyReused)


def test_an_answer_is_a_view_bytes_or_nothing():
    assert Answer(Order(sku="A")).content == b'{"sku":"A","note":null,"metadata":{}}'
    assert Answer(b"stored").content == b"stored"
    assert Answer(None, 204).content == b""
