"""The decisions of notification_service: facts that become mails, what became of a mail, and whom not to write to."""

from uuid import UUID

from chassis.decisions import Cause, Decision, Decisions, Key, State
from contracts.accounts import UserErased, UserRegistered
from notification_service.domain import mails, notification, reader
from notification_service.domain.mails import ToCustomer, ToStaff
from notification_service.domain.notification import (
    NoSuchNotification,
    Notification,
    RecordFailure,
    RecordSent,
    RecordSetback,
    ResendNotification,
    Status,
)
from notification_service.domain.reader import Erasure, Reader, SetPreferences

decisions = Decisions("notification_service")


def _id(fact: ToCustomer | ToStaff, cause: Cause) -> UUID:
    """It is derived from the event: one that is told again finds its mail, and writes no second one."""
    return cause.derive(mails.template_of(fact), mails.recipient_of(fact))


def _written(fact: ToCustomer | ToStaff, cause: Cause) -> tuple[Key]:
    return ((Notification, _id(fact, cause)),)


@decisions.on(names=lambda fact: ((Reader, fact.customer_id),), makes=_written)
def write_to_customer(state: State, fact: ToCustomer, cause: Cause) -> Decision:
    return _write(state, fact, state.find(Reader, fact.customer_id), cause)


@decisions.on(names=lambda _fact: (), makes=_written)
def write_to_staff(state: State, fact: ToStaff, cause: Cause) -> Decision:
    return _write(state, fact, None, cause)


def _write(state: State, fact: ToCustomer | ToStaff, known: Reader | None, cause: Cause) -> Decision:
    derived = _id(fact, cause)
    if state.find(Notification, derived) is not None:
        return Decision(ignored="written before")
    written = notification.write(fact, known, notification_id=derived, event_id=cause.id, now=cause.now)
    written = notification.claim(written, cause.lease)
    due = (written,) if written.status is Status.SENDING else ()
    return Decision(changes=(written,), sequence=written.version, hands_over=due)


@decisions.on(names=lambda outcome: ((Notification, outcome.notification_id),))
def record_outcome(state: State, outcome: RecordSent | RecordSetback | RecordFailure, cause: Cause) -> Decision:
    known = state.find(Notification, outcome.notification_id)
    if known is None:
        return Decision(ignored="unknown notification")
    recorded, events = notification.record(known, outcome, cause.now)
    if recorded is known:
        return Decision(ignored="lease lost")
    return Decision(changes=(recorded,), events=events, sequence=recorded.version, reply=recorded)


@decisions.on(names=lambda command: ((Notification, command.notification_id),))
def resend_notification(state: State, command: ResendNotification, cause: Cause) -> Decision:
    known = state.find(Notification, command.notification_id)
    if known is None:
        raise NoSuchNotification
    queued = notification.resend(known, cause.now)
    return Decision(changes=(queued,), sequence=queued.version, reply=queued)


@decisions.on(names=lambda fact: ((Reader, fact.user_id),))
def remember_user(state: State, fact: UserRegistered, _cause: Cause) -> Decision:
    known = state.find(Reader, fact.user_id)
    remembered = reader.remember(known, fact)
    if remembered is known:
        return Decision(ignored="known already")
    return Decision(changes=(remembered,), sequence=remembered.version)


@decisions.on(names=lambda fact: ((Reader, fact.user_id),))
def forget_user(state: State, fact: UserErased, _cause: Cause) -> Decision:
    known = state.find(Reader, fact.user_id)
    forgotten = reader.forget(known, fact)
    if forgotten is known:
        return Decision(ignored="erased already")
    return Decision(changes=(forgotten, Erasure(user_id=fact.user_id)), sequence=forgotten.version)


@decisions.on(names=lambda command: ((Reader, command.user_id),))
def set_preferences(state: State, command: SetPreferences, _cause: Cause) -> Decision:
    known = state.find(Reader, command.user_id)
    preferring = reader.prefer(known, command)
    changes = () if preferring is known else (preferring,)
    return Decision(changes=changes, sequence=preferring.version, reply=preferring)
