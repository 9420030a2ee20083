"""The code on the documentation's page about batch norm runs, and what it asserts holds."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "batchnorm.md"


def test_snippets_run_one_after_the_other(capsys):
    snippets = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)
    assert len(snippets) >= 7
    names: dict[str, object] = {}
    for number, snippet in enumerate(snippets):
        exec(compile(snippet, f"{PAGE.name}[{number}]", "exec"), names)
    assert "times the population's" in capsys.readouterr().out
