from contracts.catalogue import EVENTS
from ordermill import documents
from ordermill.documents import events_page


def test_the_committed_documents_are_what_the_code_says():
    assert documents.stale() == []


def test_every_event_has_its_section_with_its_topic_its_listeners_and_its_fields():
    page = events_page()

    assert [f"### {event.__name__}\n" for event in EVENTS.values() if f"### {event.__name__}\n" not in page] == []
    assert (
        "### PaymentRequested\n\n"
        "Stock is held for the order, so the customer may be charged; once for each attempt.\n\n"
        "Topic `order.payment_requested`, version 1, in `contracts/orders.py`. Heard by: payment_service.\n\n"
        "| field | type |\n|---|---|\n"
        "| `order_id` | OrderId |\n"
        "| `customer_id` | UserId |\n"
        "| `attempt` | Count |\n"
        "| `amount` | Money |\n"
        "| `method` | string or null |\n"
    ) in page
    assert "| [OrderConfirmed](#orderconfirmed) | `order.confirmed` | order_service | inventory_service, notif" in page


def test_values_and_names_are_explained():
    page = events_page()

    assert "### Money\n\nAn amount in minor units: `Money(amount=1299" in page
    assert "### CancelPhase\n\nWhether an order was cancelled before or after it was confirmed. One of `pre`" in page
    assert "| OrderId | format `uuid`, type `string` |" in page
    assert "``" not in page


def test_a_document_that_is_missing_or_was_changed_by_hand_is_out_of_date_until_it_is_written(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(documents, "FOLDER", tmp_path)

    assert documents.main(["--check"]) == 1
    assert "docs/events.md is out of date" in capsys.readouterr().err

    assert documents.main([]) == 0
    assert documents.main(["--check"]) == 0

    (tmp_path / "docs" / "events.md").write_text("# The events\n")
    assert documents.main(["--check"]) == 1
    assert capsys.readouterr().err.count("out of date") == 1
