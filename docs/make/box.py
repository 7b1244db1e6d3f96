"""`cronjob/systemd` and `cronjob/compose.yaml`, made by `t3probe/setup/box.py`.

`python docs/make/box.py` writes them; a test holds that they are current.
"""

from __future__ import annotations

from pathlib import Path

from t3probe.setup.box import compose, units

__all__ = ["files"]

CRONJOB = Path(__file__).resolve().parents[2] / "cronjob"


def files() -> dict[Path, str]:
    """Each file and its text."""
    made = {CRONJOB / "systemd" / name: text for name, text in units().items()}
    return {**made, CRONJOB / "compose.yaml": compose()}


if __name__ == "__main__":
    for file, content in files().items():
        file.write_text(content, encoding="utf-8")
