import pytest

from mpijob_local.cli import cli, main


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["run"], 64, "Missing argument 'MANIFEST'"),
        (["run", "x", "--wrokers", "2"], 64, "--workers"),
        (["run", "/nonexistent.yaml"], 65, "no such file"),
        (["run", "x", "--workers", "0"], 64, "--workers"),
        (["run", "x", "--rate", "100mbps"], 64, "bits a second as tc writes them"),
        (["run", "x", "--rate", "1gbit", "--rate", "1gbit"], 64, "2 rates for 1 network"),
        (["run", "x", "--claim", "data"], 64, "--claim NAME=DIR"),
        (["run", "x", "--networks", "0"], 64, "--networks"),
        (["down"], 64, "either a job or --all"),
        (["fly"], 64, "fly"),
    ],
)
def test_errors(arguments, code, text, monkeypatch, capsys):
    """A wrong command ends with its code, a message and no traceback."""
    monkeypatch.setattr("sys.argv", ["mpijob-local", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()

    captured = capsys.readouterr()
    assert caught.value.code == code
    assert text in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_help(name, monkeypatch, capsys):
    """Every command explains itself with an example."""
    monkeypatch.setattr("sys.argv", ["mpijob-local", name, "--help"])
    with pytest.raises(SystemExit) as caught:
        main()

    assert caught.value.code == 0
    assert "Example" in capsys.readouterr().out
