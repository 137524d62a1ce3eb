import numpy as np
import pytest

from occ_core import CLASS_NAMES, IGNORE
from occ_core.class_costs import DEFAULT_COSTS, class_costs
from occ_core.errors import InputError


def cost_of(name: str, *entries: str) -> int:
    return int(class_costs(entries)[CLASS_NAMES.index(name)])


def test_a_sidewalk_robot_drives_on_every_ground_and_a_car_on_roads():
    sidewalk, car = class_costs(("sidewalk-robot",)), class_costs(("car",))
    assert sidewalk.dtype == np.int8 and sidewalk.shape == (256,)
    free = [{CLASS_NAMES[label] for label in range(1, 20) if costs[label] == 0} for costs in (sidewalk, car)]
    assert free == [{"road", "parking", "sidewalk", "terrain", "other-ground"}, {"road", "parking"}]
    assert set(np.unique(sidewalk)) == {0, 100}
    assert sidewalk[0] == sidewalk[IGNORE] == 0


def test_the_default_walls_no_robot_in():
    np.testing.assert_array_equal(class_costs(()), class_costs(("sidewalk-robot",)))
    assert DEFAULT_COSTS == ("sidewalk-robot",)


def test_entries_change_the_preset_and_the_last_one_counts():
    assert cost_of("vegetation", "car", "vegetation=30") == 30
    assert cost_of("terrain", "terrain=80") == 80 and cost_of("road", "terrain=80") == 0
    assert cost_of("road", "car", "road=10", "road=0") == 0


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (("boat",), "'boat' is no preset; expected one of car, sidewalk-robot, or entries such as person=100"),
        (("",), "'' is no preset"),
        (("car", "lava=100"), "'lava' is not a class; expected some of car, bicycle"),
        (("empty=3",), "'empty' is not a class"),
        (("car", "road"), "'road': expected class=cost; a preset stands first"),
        (("road=101",), "'road=101': expected a whole number from 0 to 100 as the cost"),
        (("road=-1",), "'road=-1': expected a whole number"),
        (("road=",), "'road=': expected a whole number"),
        (("road=1.5",), "'road=1.5': expected a whole number"),
        (("road=1=2",), "'road=1=2': expected a whole number"),
    ],
)
def test_wrong_entries_are_named(entries, message):
    with pytest.raises(InputError, match=message):
        class_costs(entries)
