"""Ways to where chance seldom leads: the machine's own rules, in a chosen order."""

from datetime import timedelta

from tests.stateful.broker import Publishing
from tests.stateful.faults import Fault, Mood

PLENTY, NOTHING = (5,) * 6, (0,) * 6
HOUR = ("a_good_hour", {})
ALL_ARRIVES = ("deliver_all", {"seed": 0})
CANCEL = ("cancel", {"number": 0, "at": 0, "fault": None, "by_staff": False})
REPEAT = ("repeat", {"number": 0, "at": 1})
REPLAY = ("replay_the_parked", {})
TELL = ("tell", {"number": 0, "at": 0, "times": 1, "fault": None})
PARCELS_ARE_LOST = ("publish", {"publishing": Publishing.PARCEL_LOST})


def opened(card="tok_ok", lived=0, shelves=PLENTY):
    return "open_the_shop", {"shelves": shelves, "orders": [([("CUP", 2)], card, 0, 0)], "lived": lived}


def deliver(number, fault=None):
    return "deliver", {"number": number, "at": 0, "fault": fault}


def redeliver(number):
    return "redeliver", {"number": number, "at": 1, "redelivered": False, "fault": None}


def charge(mood):
    return "charge", {"mood": mood, "at": 1, "fault": None}


def later(**passed):
    return "time_passes", {"passed": timedelta(**passed)}


REQUESTED = (opened(), ALL_ARRIVES, ALL_ARRIVES)
CANCELLED_BEFORE_IT_WAS_HELD = (opened(), CANCEL, deliver(2), deliver(1), deliver(0), HOUR)
CANCELLED_BEFORE_IT_WAS_CHARGED = (*REQUESTED, CANCEL, deliver(2), HOUR)
# Each one that comes again is the newest then, so that the next older one is two steps away.
TOLD_TWICE = (opened(lived=1), *(redeliver(number) for number in range(0, 20, 2)))
CUT_WHILE_IT_IS_HELD = (opened(), deliver(0, Fault("cut", 3)), HOUR)
IN_DOUBT = (*REQUESTED, charge(Mood.SILENT), later(seconds=31), charge(Mood.ANSWERS), HOUR)
PAID_LATE = (*REQUESTED, charge(Mood.ANSWERS), later(minutes=31), HOUR)
CANCELLED_WHILE_IT_IS_CHARGED = (
    *REQUESTED,
    charge(Mood.CALLER_DIES_AFTER),
    CANCEL,
    ALL_ARRIVES,
    later(seconds=31),
    charge(Mood.ANSWERS),
    HOUR,
)
A_WAY_OF_PAYING_IS_GIVEN = (
    opened(None, lived=1),
    ("choose_how_to_pay", {"number": 0, "card": "tok_ok", "at": 1, "fault": None}),
    charge(Mood.ANSWERS),
    HOUR,
)
A_REFUND_IS_IN_DOUBT_THEN_REFUSED = (
    opened("tok_refund_fails", lived=1),
    ("give_back", {"number": 0, "amount": 250, "at": 0, "fault": None}),
    charge(Mood.CALLER_DIES_BEFORE),
    later(seconds=31),
    charge(Mood.DEAF),
    later(seconds=31),
    charge(Mood.ANSWERS),
    HOUR,
)
TAKEN_OVER_AT_ONCE = (
    *REQUESTED,
    ("deliver", {"number": 0, "at": 1, "fault": None}),
    HOUR,
)
# At one point the charge is not recorded yet, at the next it is claimed and never made, then it is made, then recorded.
KILLED_WHILE_IT_TAKES_OVER = tuple(
    step
    for point in range(2, 12)
    for step in (
        ("order", {"basket": [("TEA", 1)], "card": "tok_ok", "customer": 1, "at": 0, "fault": None}),
        deliver(0),
        deliver(0),
        ("deliver", {"number": 0, "at": 1, "fault": Fault("kill", point)}),
        HOUR,
        later(seconds=31),
        HOUR,
    )
)[: 7 * 8]
TOLD_AHEAD = (*REQUESTED, ("tell_of_a_payment_ahead_of_it", {"number": 0, "at": 0}), HOUR)
PARKED = (
    opened(),
    ("fail", {"number": 0, "at": 0, "attempts": 8}),
    REPLAY,
    HOUR,
    CANCEL,
    REPLAY,
    HOUR,
)
DEADLY = (opened(), ("kill_by_a_message", {"number": 0, "at": 0, "starts": 3, "point": 8}), HOUR, REPLAY, HOUR)

INTERRUPTED_ORDERS = (
    opened(),
    *(
        ("order", {"basket": [("TEA", 1)], "card": "tok_ok", "customer": 1, "at": 0, "fault": Fault(kind, point)})
        for kind in ("kill", "cut")
        for point in (2, 4, 5, 6, 7)
    ),
)
EVERY_MOOD = (*REQUESTED, *(step for mood in Mood for step in (charge(mood), later(seconds=31))), HOUR)
EVERY_WAY_TO_PUBLISH = tuple(("publish", {"publishing": publishing}) for publishing in Publishing)
SHIPPED_AND_RETURNED = (
    opened(lived=6, shelves=(1, 1, 0, 0, 0, 0)),
    ("take_back", {"number": 0, "at": 0, "fault": None, "restocked": True}),
    HOUR,
    REPEAT,
    ("reuse_the_key", {"number": 0, "basket": [("TEA", 1)], "at": 0}),
)
DECLINED_THEN_PAID = (
    opened("tok_declined", lived=1),
    ("pay_again", {"number": 0, "card": "tok_ok", "at": 0, "fault": None}),
    HOUR,
)

WALKS = (
    TAKEN_OVER_AT_ONCE,
    (opened(), ALL_ARRIVES, HOUR, *KILLED_WHILE_IT_TAKES_OVER),
    CANCELLED_BEFORE_IT_WAS_HELD,
    CANCELLED_BEFORE_IT_WAS_CHARGED,
    CANCELLED_WHILE_IT_IS_CHARGED,
    A_WAY_OF_PAYING_IS_GIVEN,
    A_REFUND_IS_IN_DOUBT_THEN_REFUSED,
    TOLD_AHEAD,
    PARKED,
    DEADLY,
    INTERRUPTED_ORDERS,
    IN_DOUBT,
    EVERY_MOOD,
    (opened(lived=1), TELL, ("tell", {"number": 0, "at": 1, "times": 2, "fault": None}), HOUR),
    (opened(), *EVERY_WAY_TO_PUBLISH, HOUR),
    SHIPPED_AND_RETURNED,
    DECLINED_THEN_PAID,
    (opened(shelves=NOTHING), HOUR),
    (opened(lived=3, shelves=(1, 1, 0, 0, 0, 0)), HOUR),
)
