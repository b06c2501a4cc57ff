"""A database so slow that leases are over before what was claimed is recorded, one by one."""

from tests.simulation.simulation import Simulation

LEASE_ENDS_FIRST = 48


def test_a_lease_that_ends_before_all_answers_are_recorded_keeps_no_order_from_its_end():
    simulation = Simulation(LEASE_ENDS_FIRST, orders=100)
    times = simulation.world.times
    assert (times.latency, times.batch, times.lease) == (0.2, 1, 2)

    simulation.run()
