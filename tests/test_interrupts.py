"""Signals that come while an interrupted training is being kept."""

import os
import signal
import threading

import pytest

from fastdigit.interrupts import ENDING, ignored

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs kill")


def handlers():
    return [signal.getsignal(number) for number in ENDING]


@pytest.mark.parametrize("number", ENDING)
def test_they_are_ignored_and_then_obeyed_again(number):
    before = handlers()
    with ignored():
        os.kill(os.getpid(), number)
    assert handlers() == before
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_they_are_obeyed_again_after_an_error():
    before = handlers()
    with pytest.raises(ZeroDivisionError), ignored():
        raise ZeroDivisionError
    assert handlers() == before


def test_other_threads_change_nothing():
    found = []

    def look():
        with ignored():
            found.extend(handlers())

    before = handlers()
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == before
