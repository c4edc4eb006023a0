import pytest
from fuzz.mutate import inputs
from fuzz.targets import TARGETS


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__name__)
def test_a_parser_of_outside_input_raises_only_what_it_documents(target):
    """The smoke of ``make fuzz``, with a fixed seed."""
    for data in inputs(TARGETS[target], seed=1, seconds=0.2):
        target(data)
