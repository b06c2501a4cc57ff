"""What a seed draws: the same plan each time, of every kind, with rest for the servers."""

from collections import Counter
from itertools import pairwise

from ordermill.prove.schedule import AIMED, WAYS, Kind, draw

PROCESSES = ["gateway", "order_service.api", "order_service.worker"]


def test_a_seed_draws_the_same_plan_each_time_and_another_seed_another_one():
    assert draw(1, 180, PROCESSES) == draw(1, 180, PROCESSES)
    assert draw(1, 180, PROCESSES) != draw(2, 180, PROCESSES)


def test_three_minutes_have_two_hundred_faults_and_all_kinds():
    for seed in range(20):
        plan = draw(seed, 180, PROCESSES)

        assert len(plan) >= 215
        assert {fault.kind for fault in plan} == set(Kind)


def test_every_process_is_hurt_and_nothing_else_is_aimed_at():
    plan = draw(3, 180, PROCESSES)

    assert {fault.target for fault in plan if fault.kind in AIMED} == set(PROCESSES)
    assert {fault.target for fault in plan if fault.kind not in AIMED} == {"postgres", "rabbitmq", ""}


def test_a_server_that_was_hurt_has_time_to_come_back():
    for seed in range(20):
        for server in ("postgres", "rabbitmq"):
            hurt = [fault for fault in draw(seed, 180, PROCESSES) if fault.target == server]
            for before, after in pairwise(hurt):
                assert after.at >= before.at + before.lasts + WAYS[before.kind].rest


def test_faults_come_in_order_and_end_with_the_run():
    plan = draw(5, 45, PROCESSES)

    assert [fault.at for fault in plan] == sorted(fault.at for fault in plan)
    assert plan[-1].at < 45


def test_a_clusters_faults_are_those_of_one_broker_shared_among_its_nodes_and_none_loses_all_data():
    nodes = ["rabbitmq", "rabbitmq2", "rabbitmq3"]

    one, three = draw(3, 180, PROCESSES), draw(3, 180, PROCESSES, nodes)

    assert {fault.target for fault in three if fault.target.startswith("rabbitmq")} == set(nodes)
    assert {fault.kind for fault in three} == set(Kind) - {Kind.LOSE_RABBITMQ}
    assert draw(3, 180, PROCESSES, ["rabbitmq"]) == one


def test_a_deck_holds_a_hundred_faults_give_or_take():
    assert 90 <= sum(way.share for way in WAYS.values()) <= 115
    assert Counter(WAYS.keys()) == Counter(Kind)
