import pytest

from occ_node.counters import ERRORS, Counters, Drop


@pytest.mark.parametrize("reason", Drop, ids=lambda reason: reason.value)
def test_every_reason_is_counted_by_member_and_by_value(reason):
    counters = Counters()
    counters.drop(reason, 2)
    counters.error(reason.value, "text")
    assert counters.counts().dropped[reason.value] == 3
    assert counters.counts().last_error == "text"


def test_an_unknown_reason_cannot_be_lost():
    counters = Counters()
    with pytest.raises(ValueError, match=r"'malformed\.radar' is not a valid Drop"):
        counters.drop("malformed.radar")
    with pytest.raises(ValueError, match=r"'malformed\.radar' is not a valid Drop"):
        counters.error("malformed.radar", "text")
    assert counters.counts().last_error == ""


def test_an_unknown_event_is_refused_too():
    with pytest.raises(ValueError, match=r"'received\.points' is not counted; expected one of received\.image, "):
        Counters(inputs=("image",)).count("received.points")


def test_errors_reach_the_log_and_other_drops_do_not():
    logged = []
    counters = Counters(on_error=lambda reason, text: logged.append((reason, text)))
    counters.drop(Drop.SUPERSEDED)
    counters.error(Drop.FAILED, "why")
    assert logged == [(Drop.FAILED, "why")]


def test_every_kind_of_malformed_message_is_an_error():
    from occ_core import decode

    kinds = (decode.ImageError, decode.CloudError, decode.CameraInfoError, decode.TransformError)
    assert {Drop(f"malformed.{kind.source}") for kind in kinds} == set(ERRORS) - {Drop.NO_CALIBRATION, Drop.FAILED}
