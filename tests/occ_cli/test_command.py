"""How every command line reports what happened: exit codes, one line or a traceback, usage, version."""

import subprocess
import sys
from types import ModuleType

import pytest

from occ_cli import data, node, train
from occ_cli.command import CommandLine
from occ_cli.errors import CommandError, RunFailed
from occ_core import CalibrationError
from occ_runtime import BackendError

COMMAND_LINES = [node.COMMAND_LINE, data.COMMAND_LINE, train.COMMAND_LINE]
VERBS = [(line, verb) for line in COMMAND_LINES for verb in line.verbs]


@pytest.fixture
def program():
    """`prog verb --number N` around a function."""

    def make(function) -> CommandLine:
        verb = ModuleType("verb", "Do something.\n\nexamples:\n  prog verb --number 3")
        verb.add_arguments = lambda parser: parser.add_argument("--number", type=int)
        verb.command = function
        return CommandLine("prog", "A program.", "  prog verb", {"verb": verb})

    return make


def raising(error: BaseException):
    def command(arguments):
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (RunFailed("the node process ended"), 1, "prog verb: the node process ended\n"),
        (CommandError("--number:\n  expected 3"), 2, "prog verb: --number: expected 3\n"),
        (CalibrationError("calib.txt: no P2"), 2, "prog verb: calib.txt: no P2\n"),
        (BackendError("no TensorRT here"), 2, "prog verb: no TensorRT here\n"),
        (FileNotFoundError(2, "No such file or directory", "x"), 2, "prog verb: x: No such file or directory\n"),
        (TimeoutError("no answer"), 2, "prog verb: no answer\n"),
        (
            ModuleNotFoundError("No module named 'trimesh'", name="trimesh"), 2,
            "prog verb: needs trimesh; install it with: pip install 'occ_node[synth]'\n",
        ),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)  # fmt: skip
def test_errors_for_the_user_are_one_line(error, code, line, program, capsys):
    assert program(raising(error)).run(["verb"]) == code
    assert capsys.readouterr().err == line


def test_a_training_that_diverged_ends_with_3(program, capsys):
    pytest.importorskip("lightning", reason="needs lightning (the train extra)")
    from occ_models.training import NotFinite

    assert program(raising(NotFinite("step 3: loss nan"))).run(["verb"]) == 3
    assert capsys.readouterr().err == "prog verb: step 3: loss nan\n"


@pytest.mark.parametrize(
    "error", [ValueError("oops"), ZeroDivisionError("oops"), KeyError("oops"), ModuleNotFoundError("oops", name="oops")]
)
def test_faults_of_the_program_are_tracebacks(error, program, capsys):
    assert program(raising(error)).run(["verb"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("Traceback") and "oops" in said


@pytest.mark.parametrize("arguments", [["--traceback", "verb"], ["verb", "--traceback"]])
def test_a_traceback_can_be_asked_for_before_and_after_the_verb(arguments, program, capsys):
    assert program(raising(CommandError("unusable"))).run(arguments) == 2
    assert capsys.readouterr().err.startswith("Traceback")


def test_the_result_of_the_verb_is_the_exit_code(program):
    assert program(lambda arguments: arguments.number).run(["verb", "--number", "0"]) == 0
    assert program(lambda arguments: arguments.number).run(["verb", "--number", "1"]) == 1


@pytest.mark.parametrize("arguments", [["--number", "x"], ["--digits", "3"]])
def test_wrong_usage_shows_the_usage_of_the_verb(arguments, program, capsys):
    with pytest.raises(SystemExit) as end:
        program(lambda arguments: 0).run(["verb", *arguments])
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("usage: prog verb [-h] [--number NUMBER]")


def test_a_reader_that_leaves_early_is_no_error():
    code = "import sys; from occ_cli.node import main; sys.exit(main(['run', '--parameters']))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert "Traceback" not in process.stderr.read().decode()


@pytest.mark.parametrize("line", COMMAND_LINES, ids=lambda line: line.name)
def test_every_program_has_a_version(line, capsys):
    with pytest.raises(SystemExit) as end:
        line.run(["--version"])
    assert end.value.code == 0 and capsys.readouterr().out.startswith(f"{line.name} ")


@pytest.mark.parametrize(("line", "verb"), VERBS, ids=[f"{line.name} {verb}" for line, verb in VERBS])
def test_the_help_of_every_verb_shows_examples(line, verb, capsys):
    with pytest.raises(SystemExit) as end:
        line.run([verb, "--help"])
    said = capsys.readouterr().out
    assert end.value.code == 0 and f" {verb} " in said.partition("examples:\n")[2] and "--traceback" in said
