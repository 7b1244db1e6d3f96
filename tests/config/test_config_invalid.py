"""Invalid deployment files, one mistake each, each pinned to its exact sentence.

The sentence stands as a comment in the file's first line.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from config_helpers import HERE, NOW

from t3probe.config import DeploymentError, load

FILES = sorted((HERE / "invalid").glob("*.toml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_invalid_file_is_refused_with_its_sentence(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(HERE)
    expected = file.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
    with pytest.raises(DeploymentError) as caught:
        load(f"invalid/{file.name}", {}, now=NOW)
    assert str(caught.value) == expected
    assert caught.value.file == f"invalid/{file.name}"


def test_there_are_enough_of_them_and_no_two_say_the_same() -> None:
    said = [file.read_text(encoding="utf-8").splitlines()[0].partition(": ")[2] for file in FILES]
    assert len(FILES) >= 30
    assert len({*said}) >= len(said) - 1  # userinfo is refused in two forms alike


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_sentence_repeats_a_secret(file: Path) -> None:
    first, _, rest = file.read_text(encoding="utf-8").partition("\n")
    assert "hunter2" not in first
    assert "hun/ter2" not in first
    if "hunter2" in rest:
        assert "T3PROBE_NAME_FILE" in first
