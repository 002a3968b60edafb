"""The command on consoles that cannot show every character, such as those of Windows."""

import io
import sys

import pytest

from motionmillion.data import synthesize


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8"])
def test_names_that_the_console_cannot_show_are_no_error(encoding, tmp_path, monkeypatch):
    from motionmillion.cli.app import main

    synthesize("walk", seed=0, seconds=2).save(tmp_path / "wäve 走.npz")
    console = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    monkeypatch.setattr(sys, "stdout", console)
    monkeypatch.setattr(
        sys, "argv", ["motionmillion", "export", str(tmp_path / "wäve 走.npz"), "-o", str(tmp_path / "跑.bvh")]
    )
    with pytest.raises(SystemExit) as stop:
        main()
    console.flush()
    assert not stop.value.code
    assert (tmp_path / "跑.bvh").is_file()
    shown = console.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
    assert ("跑" if encoding == "utf-8" else "\\u8dd1") in shown
