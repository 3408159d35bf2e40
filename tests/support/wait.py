"""Waiting for what must become true, under one generous deadline; nobody sleeps for luck."""

import os
import time

# Stretches every deadline, for builds with sanitizers and for crowded machines.
PATIENCE = float(os.environ.get("SLUICE_TEST_PATIENCE", "1"))
DEADLINE = 15.0 * PATIENCE


def wait_until(predicate, what, seconds=None):
    """Polls predicate() until it is truthy and returns its value; fails with `what` and the last value seen."""
    end = time.monotonic() + (DEADLINE if seconds is None else seconds * PATIENCE)
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"never came true: {what} (last seen: {value!r})")
        time.sleep(0.005)


def wait_until_steady(probe, quiet=0.4, seconds=None):
    """Polls probe() until its value has not changed for `quiet` seconds, and returns that value."""
    end = time.monotonic() + (DEADLINE if seconds is None else seconds * PATIENCE)
    value, since = probe(), time.monotonic()
    while time.monotonic() - since < quiet:
        now = probe()
        if now != value:
            value, since = now, time.monotonic()
        if time.monotonic() > end:
            raise AssertionError(f"never settled (last seen: {value!r})")
        time.sleep(0.01)
    return value
