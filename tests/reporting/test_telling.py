"""What is shown in a terminal: as it is, whatever names the user's files hold, and whoever reads it."""

import subprocess
import sys
import time

from jaxgen.errors import one_line, printable
from jaxgen.reporting.console import log, show


def test_names_command_no_terminal(capsys):
    show("least regular\n1  \x1b[31mcat\x07  a\u202eb\tc\rd  é 猫", ["out/a.png"])
    log("first\nsecond \x9b2J")
    said = capsys.readouterr()
    assert said.out == "least regular\n1  \\x1b[31mcat\\x07  a\\u202eb c d  é 猫\n\nout/a.png\n"
    assert said.err == "first second \\x9b2J\n"


def test_lines_stay_lines_where_they_are_wanted():
    assert printable("a\nb\x00") == "a\nb\\x00"
    assert one_line("a\nb\x00") == "a b\\x00"
    assert len(one_line("a\n" * 10**6)) < 3000


def test_who_is_asked_to_stop_does_not_wait_for_what_is_compiled():
    program = """
import sys, threading, time
from jaxgen.config import CscoreSpec, flags
threading.Thread(target=time.sleep, args=(50,)).start()
def job(spec):
    raise KeyboardInterrupt
print("before")
flags.run_entry("jaxgen.cscore", CscoreSpec, job, sys.argv[1:])
"""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program, "--num_runs=2"], capture_output=True, text=True, timeout=100)
    assert time.monotonic() - began < 40
    assert done.returncode == 130
    assert done.stdout == "before\n"
    assert done.stderr.startswith("jaxgen.cscore: stopped; models that were finished are kept")


def test_a_reader_that_has_seen_enough_is_no_failure():
    program = "from jaxgen.reporting.console import show\nfor i in range(9):\n    show('line\\n' * 10**5)"
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "line\n"
    process.stdout.close()
    assert process.wait(60) == 0
    assert process.stderr.read() == ""


def test_results_that_cannot_be_printed_are_one_line():
    program = "from jaxgen.reporting.console import show\nfrom jaxgen.errors import UserError\ntry:\n    show('line')"
    program += "\nexcept UserError as error:\n    import sys; sys.exit(str(error))"
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([sys.executable, "-c", program], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("standard output: cannot be written (")
    assert done.stderr.count("\n") == 1
