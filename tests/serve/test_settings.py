"""Settings, keys, the rate limit, and the options of the command."""

import pytest

pytest.importorskip("fastapi", reason='needs pip install "motionmillion[serve]"')

from motionmillion.cli.serve import read_models
from motionmillion.serve.guard import RateLimit
from motionmillion.serve.logs import set_up_logs
from motionmillion.serve.settings import Settings, hosts_of, read_keys


def test_keys_come_from_a_file_and_the_environment(tmp_path):
    file = tmp_path / "keys.txt"
    file.write_text("# the team's\nfirst  # of Ada\n\nsecond\n")
    assert read_keys(file, None) == ("first", "second")
    assert read_keys(file, "third, first,") == ("first", "second", "third")
    assert read_keys(None, None) == ()
    file.write_text("# none\n")
    with pytest.raises(ValueError, match="api_key_file must hold a key"):
        read_keys(file, "x")
    with pytest.raises(ValueError, match="must be printable ASCII"):
        read_keys(None, "schl\u00fcssel")
    with pytest.raises(ValueError, match="existing file"):
        read_keys(tmp_path / "none.txt", None)


def test_only_an_open_service_of_this_machine_is_strict_about_its_name():
    local = ("localhost", "127.0.0.1", "[::1]", "::1")
    assert hosts_of("127.0.0.1", [], []) == hosts_of("localhost", [], []) == local
    assert hosts_of("127.0.0.1", [], ["key"]) == hosts_of("0.0.0.0", [], []) == ()
    assert hosts_of("0.0.0.0", ["motion.example.org"], ["key"]) == (*local, "motion.example.org")


@pytest.mark.parametrize("name, value", [("max_rows", 0), ("timeout", 0.0), ("rate", -1.0), ("max_body_mb", "x")])
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be"):
        Settings(**{name: value})


def test_a_bucket_fills_again():
    rate = RateLimit(60)
    assert [rate.wait("a", now=0.0) for _ in range(10)] == [0.0] * 10
    assert rate.wait("a", now=0.0) == 1.0 and rate.wait("b", now=0.0) == 0.0
    assert rate.wait("a", now=0.5) == 0.5 and rate.wait("a", now=1.0) == 0.0
    assert RateLimit(0).wait("a") == 0.0


def test_models_have_names():
    assert read_models(["mini", "runs/big/", "dit=some/folder"]) == {
        "mini": "mini",
        "big": "runs/big/",
        "dit": "some/folder",
    }
    for models, problem in [(["mini", "mini"], "named once, got 'mini' twice"), (["=x"], "must look like")]:
        with pytest.raises(ValueError, match=problem):
            read_models(models)


def test_mistakes_on_the_command_line_are_one_line(run, tmp_path):
    for arguments, problem in [
        (["--max-rows", "0"], "max_rows must be a whole number of at least 1, got 0"),
        (["--api-key-file", tmp_path / "none"], "existing file"),
        (["--model", "mini", "--model", "mini"], "model must be named once"),
        (["--model", "no/such/model/here"], "pipeline must be one of"),
        (["--log-level", "loud"], "log_level must be one of"),
    ]:
        code, _, err = run("serve", *arguments)
        assert code == 2 and problem in err and err.count("\n") == 1


def test_unknown_levels_are_refused():
    with pytest.raises(ValueError, match="log_level must be one of"):
        set_up_logs("loud")
