"""Threads are waited for so that Ctrl-C and errors are heard at once."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.core.futures import finish


def test_a_signal_that_another_thread_took_is_heard():
    begin, over = threading.Event(), threading.Event()

    def work():
        begin.wait(30)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        over.wait(30)

    with ThreadPoolExecutor(1) as pool:
        worker = pool.submit(work)
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - it may come at either line
            begin.set()
            finish([worker])
        assert not worker.done()
        over.set()


def test_the_first_error_is_raised_while_others_still_run():
    over = threading.Event()

    def fail():
        raise LookupError

    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(over.wait, 30)
        with pytest.raises(LookupError):
            finish([slow, pool.submit(fail)])
        assert not slow.done()
        over.set()


def test_all_are_waited_for():
    done = []
    with ThreadPoolExecutor(2) as pool:
        finish(pool.submit(done.append, number) for number in range(5))
        assert sorted(done) == list(range(5))
