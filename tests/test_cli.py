import errno
import os
import subprocess
import sys

import pytest
import typer

import posegram
from posegram import cli
from posegram.cli import VERBS, main


def run(*args):
    """Exit code of one run of `posegram`."""
    with pytest.raises(SystemExit) as stop:
        main(list(args))
    return stop.value.code


@pytest.fixture
def failing(monkeypatch):
    """Makes every verb end with that fault."""

    def arrange(fault):
        def app(args):
            raise fault

        monkeypatch.delenv("POSEGRAM_DEBUG", raising=False)
        monkeypatch.setattr(cli, "app", app)

    return arrange


def test_the_version_is_the_packages(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out.strip() == posegram.__version__


def test_help_lists_every_verb(capsys):
    assert run("--help") == 0
    told = capsys.readouterr().out
    assert [verb for verb in VERBS if verb not in told] == []


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_explains_itself(verb, capsys):
    assert run(verb, "--help") == run(verb, "-h") == 0
    assert "Usage" in capsys.readouterr().out


def test_a_group_of_verbs_lists_them(capsys):
    assert run("models", "--help") == 0
    told = capsys.readouterr().out
    assert ("list" in told, "info" in told) == (True, True)


def test_an_unknown_verb_is_misuse(capsys):
    assert run("dance") == 2
    assert "No such command 'dance'" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [ValueError, FileNotFoundError, PermissionError, ImportError])
def test_a_users_mistake_is_one_sentence_and_exit_code_2(failing, capsys, kind):
    failing(kind("the photo is upside down"))
    assert run() == 2
    assert capsys.readouterr().err == "posegram: the photo is upside down\n"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EIO])
@pytest.mark.parametrize("said_otherwise", [False, True])
def test_a_full_or_broken_disk_is_failed_work(failing, capsys, number, said_otherwise):
    fault = OSError(number, os.strerror(number))
    if said_otherwise:
        fault, fault.__cause__ = OSError("cannot write a.json"), fault
    failing(fault)
    assert run() == 1
    assert capsys.readouterr().err == f"posegram: {fault}\n"


@pytest.fixture
def waited(monkeypatch):
    """The seconds that the command slept, without sleeping."""
    slept = []
    monkeypatch.setattr(cli.time, "sleep", slept.append)
    return slept


def test_a_further_process_lets_the_first_one_say_what_is_wrong(failing, monkeypatch, capsys):
    def ended(seconds):  # as torchrun does once the first process has left
        raise SystemExit(-15)

    monkeypatch.setattr(cli.time, "sleep", ended)
    monkeypatch.setenv("LOCAL_RANK", "1")
    failing(ValueError("upside down"))
    assert (run(), capsys.readouterr().err) == (-15, "")


def test_a_fault_of_a_further_process_alone_is_said_after_a_while(
    failing, waited, monkeypatch, capsys
):
    monkeypatch.setenv("LOCAL_RANK", "1")
    failing(ValueError("upside down"))
    assert (run(), capsys.readouterr().err) == (2, "posegram: upside down\n")


@pytest.mark.parametrize("rank", ["", "0"])
def test_the_first_process_waits_for_nobody(failing, waited, monkeypatch, rank):
    if rank:
        monkeypatch.setenv("LOCAL_RANK", rank)
    failing(ValueError("upside down"))
    run()
    assert waited == []


def test_a_developer_sees_the_traceback(failing, monkeypatch):
    failing(ValueError("upside down"))
    monkeypatch.setenv("POSEGRAM_DEBUG", "1")
    with pytest.raises(ValueError, match="upside down"):
        main([])


def test_a_defect_of_ours_is_not_passed_off_as_a_users_mistake(failing):
    failing(KeyError("joint"))
    with pytest.raises(KeyError):
        main([])


def test_a_verb_that_fails_keeps_its_exit_code(monkeypatch):
    app = typer.Typer()

    @app.command()
    def fail():
        raise typer.Exit(1)

    monkeypatch.setattr(cli, "app", app)
    assert run() == 1


def test_the_package_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "posegram", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == posegram.__version__


@pytest.mark.parametrize(("package", "extra"), [("lightning", "train"), ("av", "video")])
def test_a_missing_package_of_an_extra_is_one_sentence(failing, capsys, package, extra):
    failing(ModuleNotFoundError(f"No module named {package!r}", name=package))
    assert run() == 2
    hint = f"this needs {package}, which is not installed: pip install 'posegram[{extra}]'"
    assert capsys.readouterr().err == f"posegram: {hint}\n"


def test_ctrl_c_while_the_command_loads_is_one_sentence(monkeypatch, capsys):
    from posegram import __main__ as command

    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "main", interrupted)
    with pytest.raises(SystemExit) as stop:
        command.main()
    assert (stop.value.code, capsys.readouterr().err) == (130, "posegram: stopped\n")
