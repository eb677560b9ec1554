"""The counters."""

from prometheus_client import generate_latest

from posegram.web.meters import Meters


def test_the_latest_pictures_tell_a_models_time():
    meters = Meters()
    for seconds in (0.9, 0.1, 0.2):
        meters.looked("small", seconds)
    assert meters.milliseconds() == {"small": 200.0}


def test_old_pictures_are_forgotten():
    meters = Meters()
    for seconds in [9.0] * 100 + [0.1] * 51:
        meters.looked("small", seconds)
    assert meters.milliseconds() == {"small": 100.0}


def test_a_trial_tells_a_models_time_until_somebody_sends_a_picture():
    meters = Meters()
    meters.tried("small", 0.5)
    assert (meters.milliseconds(), meters.knows("small")) == ({"small": 500.0}, True)
    meters.looked("small", 0.25)
    assert (meters.milliseconds(), meters.knows("medium")) == ({"small": 250.0}, False)


def test_two_servers_in_one_process_do_not_mix_their_counters():
    first, second = Meters(), Meters()
    first.people.inc(7)
    assert b"posegram_people_total 0.0" in generate_latest(second.registry)
