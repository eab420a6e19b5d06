"""The nearest name, in messages."""

from pi_detector.util.suggest import did_you_mean, nearest

NAMES = ("person", "bicycle", "Car")


def test_the_nearest_name_whatever_its_case() -> None:
    assert nearest("persn", NAMES) == "person"
    assert nearest("CAR", NAMES) == "Car"
    assert nearest("elephant", NAMES) is None
    assert nearest("x", ()) is None


def test_the_part_of_a_message() -> None:
    assert did_you_mean("bycicle", NAMES, "there are {}") == "did you mean 'bicycle'?"
    assert did_you_mean("bycicle", NAMES, "-", quote='"') == 'did you mean "bicycle"?'
    assert did_you_mean("elephant", NAMES, "there are {}") == "there are person, bicycle, Car"
    assert did_you_mean("x", (), "there are {}") == "there are none"
    many = [f"label{number}" for number in range(20)]
    assert did_you_mean("x", many, "{}").endswith("label11, ...")
