"""The notebook in ``examples/`` still says what it was published with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "examples" / "notebook.ipynb"
RUN = """
import ast, json, sys
said, names = [], {}
for source in json.load(sys.stdin):
    body = ast.parse(source).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), "cell", "exec"), names)
    value = eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last else None
    said.append(value._repr_html_() if hasattr(value, "_repr_html_") else None)
json.dump(said, sys.stdout)
"""


def published(cell: dict[str, Any]) -> str | None:
    results = [output for output in cell["outputs"] if output["output_type"] == "execute_result"]
    return "".join(results[0]["data"]["text/html"]) if results and "text/html" in results[0]["data"] else None


def test_its_cells_give_the_tables_that_it_shows(site: Path, tmp_path: Path) -> None:
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    sources = ["".join(cell["source"]) for cell in cells]
    paths = [str(site), str(ROOT / "harness"), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-c", RUN], input=json.dumps(sources), capture_output=True, text=True, timeout=300,
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout)
    assert sum(html is not None for html in said) >= 4
    assert said == [published(cell) for cell in cells]
