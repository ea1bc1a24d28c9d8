"""Functions that become part of compiled code: called, inlined, and without code of their own."""

import numpy as np
import pytest

from fastdigit.inner import InnerLibrary
from fastdigit.jit import njit


@njit(inner=True)
def cube(x):
    return x * x * x


@njit(inner=True)
def cubes_and_more(x, more):
    if more < 0:
        raise ValueError("less")
    return cube(x) + more


@njit()
def total(numbers, more):
    found = 0.0
    for number in numbers:
        found += cubes_and_more(number, more)
    return found


@njit(inner=True)
def next_power(power, base):
    return power * base


@njit()
def powers_up_to(base, limit):
    power, count = 1, 0
    while power <= limit:
        power, count = next_power(power, base), count + 1
    return count


def result_of(compiled):
    (result,) = compiled.overloads.values()
    return result


def address_of(compiled):
    """Return where a function's machine code begins; 0 if it has none."""
    result = result_of(compiled)
    return result.library.get_pointer_to_function(result.fndesc.llvm_func_name)


def test_they_are_called():
    assert total(np.arange(4.0), 1.0) == 36 + 4
    assert total(np.arange(4.0), 0.5) == 36 + 2


def test_their_errors_arrive():
    with pytest.raises(ValueError, match="less"):
        total(np.arange(4.0), -1.0)


def test_they_have_no_machine_code_and_are_inlined():
    total(np.arange(4.0), 1.0)
    assert isinstance(result_of(cube).library, InnerLibrary)
    assert address_of(cube) == address_of(cubes_and_more) == 0
    assert address_of(total) != 0
    lines = result_of(total).library.get_asm_str().splitlines()
    assert not [line for line in lines if "call" in line and "cube" in line]


def test_they_are_not_kept_on_disk():
    assert type(cube._cache).__name__ == "NullCache"
    assert type(total._cache).__name__ != "NullCache"


def test_one_form_does_for_a_constant_and_for_variables():
    assert powers_up_to(10, 1000) == 4
    assert len(next_power.overloads) == 1
