"""Damaged messages in a process of its own, so that a crash is noticed too; `python -m benchmarks.fuzz` does more."""

import subprocess
import sys
from pathlib import Path

from benchmarks.fuzz import Limits, one_message

ROOT = Path(__file__).parents[2]


def test_two_thousand_damaged_messages_give_arrays_or_a_message_error():
    command = [sys.executable, "-m", "benchmarks.fuzz", "--messages", "2000", "--seed", "1"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr[-3000:] + run.stdout
    assert "0 of 2000 messages failed" in run.stdout


def test_a_message_of_a_seed_can_be_repeated():
    patient = Limits(seconds=60)
    assert [one_message(7, n, patient) for n in range(40)] == [one_message(7, n, patient) for n in range(40)]
