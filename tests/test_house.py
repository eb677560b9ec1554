"""The house rules that ruff, mypy and import-linter do not know."""

import ast
import importlib
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import posegram
from posegram.cli import VERBS

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "posegram"
FILES = sorted(SOURCE.rglob("*.py"))
MODULES = sorted(m.name for m in pkgutil.walk_packages(posegram.__path__, "posegram."))


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _functions(path: Path) -> list[ast.FunctionDef]:
    return [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)]


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_a_file_has_at_most_350_lines(path):
    assert len(path.read_text().splitlines()) <= 350


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_a_function_has_at_most_60_lines(path):
    assert [f.name for f in _functions(path) if f.end_lineno - f.lineno >= 60] == []


@pytest.mark.parametrize("path", [p for p in FILES if p.name != "__main__.py"], ids=_name)
def test_every_source_file_has_its_test_file(path):
    if path.name == "__init__.py" and path.parent.name != "cli":
        return
    name = "test_cli.py" if path.name == "__init__.py" else f"test_{path.name}"
    folder = "." if path.name == "__init__.py" else path.relative_to(SOURCE).parent
    assert (ROOT / "tests" / folder / name).exists()


HOUSE_TESTS = {
    *("test_house.py", "test_journey.py", "test_cli.py", "test_public.py"),
    "test_browser.py",  # all of web/static, which is no Python
}


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("test_*.py")), ids=_name)
def test_every_test_file_has_its_source_file(path):
    if path.name in HOUSE_TESTS:
        return
    folder = path.relative_to(ROOT / "tests").parent
    assert (SOURCE / folder / path.name.removeprefix("test_")).exists()


@pytest.mark.parametrize("name", [m for m in MODULES if not m.endswith("__main__")])
def test_all_lists_exactly_what_a_module_offers(name):
    module = importlib.import_module(name)
    tree = ast.parse(Path(module.__file__).read_text())
    defined = {n.name for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    public = {n for n in defined if not n.startswith("_")}
    assert public <= set(getattr(module, "__all__", ()))
    assert all(hasattr(module, n) for n in getattr(module, "__all__", ()))


@pytest.mark.parametrize("name", posegram.__all__)
def test_every_public_name_resolves(name):
    assert getattr(posegram, name) is not None


def test_editors_are_told_where_every_public_name_lives():
    tree = ast.parse(Path(posegram.__file__).read_text())
    (block,) = [n for n in tree.body if isinstance(n, ast.If)]
    told = {a.name: i.module.removeprefix("posegram.") for i in block.body for a in i.names}
    assert told == posegram._HOMES


@pytest.mark.parametrize(
    "code", ["import posegram", "import posegram.cli", "import posegram.infer.load"]
)
def test_importing_loads_no_torch(code):
    check = f"{code}; import sys; print([m for m in ('torch', 'keras') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_help_loads_no_torch():
    check = (
        "import sys\nfrom posegram.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\nprint('torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert out.stdout.strip().endswith("False")


def _blocks(language: str) -> list[str]:
    """The README's code blocks of one language, "" for commands."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    return [code for name, code in fenced if name == language]


@pytest.mark.parametrize("code", _blocks("python"))
def test_the_readmes_python_runs(code, tmp_path):
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "astronaut.jpg", tmp_path / "docs")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "pose.jpg").exists()


def test_the_readme_leads_to_every_page_of_the_docs():
    pages = {p.relative_to(ROOT).as_posix() for p in (ROOT / "docs").rglob("*.md")}
    readme = (ROOT / "README.md").read_text()
    assert sorted(page for page in pages if page not in readme) == []


@pytest.mark.parametrize(
    "path", sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")}), ids=_name
)
def test_no_link_between_the_papers_is_broken(path):
    links = re.findall(r"\]\(([^)#\s]+)", path.read_text())
    assert [one for one in links if "://" not in one and not (path.parent / one).exists()] == []


def test_ci_runs_the_readmes_test_command():
    command = (ROOT / ".ci" / "run").read_text().strip().splitlines()[-1]
    assert f"```\n{command}\n```" in (ROOT / "README.md").read_text()


def test_the_readme_names_only_verbs_that_exist():
    used = set(re.findall(r"^(?:\S*/)?posegram ([a-z]+)", "\n".join(_blocks("")), re.M))
    assert {"predict", "train"} <= used <= set(VERBS)
