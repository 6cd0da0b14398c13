"""README and help never lie: what they name exists, and what the README shows happens."""

import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest

from cifarnet import config
from cifarnet.errors import ConfigError
from tests import readme
from tests.common import commands

TEXT = readme.README.read_text()
BLOCKS = readme.blocks(TEXT)
PROSE = re.sub(r"```.*?```\n|^With seeds [^\n]*", "", TEXT, flags=re.DOTALL | re.MULTILINE)
CODE = re.findall(r"`([^`\n]+)`", PROSE)
PAGES = [readme.ROOT / name for name in ("README.md", "tests/README.md", "configs/README.md")]
COMMANDS = dict(commands())
LOOK = {"terminal_width": 80, "help_option_names": ["-h", "--help"]}  # click keeps the help option that it makes first
HELP = {name: c.get_help(click.Context(c, info_name=name, **LOOK)) for name, c in COMMANDS.items()}
MISTAKES = {command: shown for block in BLOCKS for command, shown in block.steps if shown.startswith("Error: ")}
LINES = [
    *(command for block in BLOCKS for command, _ in block.steps if block.kind != "python"),
    *CODE,
    *(line.strip() for text in HELP.values() for line in text.splitlines()),
]


def parse(name, words):
    """Parse a command's words, and load what they set in a shipped config, as the command would."""
    with COMMANDS[name].make_context(name, words) as context:
        given = context.params
    source = given.get("config") or given.get("argument")
    if "overrides" in given:
        config.load(source if source in config.shipped() else None, given["overrides"])


@pytest.mark.parametrize("line", sorted({line for line in LINES if line.startswith("cifarnet ")}))
def test_every_command_line_parses(line, tmp_path, monkeypatch):
    """README and help name commands, options and keys that there are."""
    monkeypatch.chdir(tmp_path)
    Path("my_network.py").touch()  # of the reader
    words = shlex.split(line.split(" > ")[0], comments=True)
    name = next(" ".join(words[:n]) for n in (3, 2, 1) if " ".join(words[:n]) in COMMANDS)
    rest = words[name.count(" ") + 1 :]
    if rest and not {"--help", "--version"} & set(rest):
        assert name != "cifarnet", f"there is no command {rest[0]}"
        try:
            parse(name, rest)
        except (click.UsageError, ConfigError) as error:
            assert MISTAKES.get(line) == f"Error: {error}\n", error


@pytest.mark.parametrize("line", sorted({code for code in CODE if code.startswith("--")}))
def test_every_option_exists(line):
    """Some command takes it, with the value that it is given."""

    def takes(name, words):
        try:
            parse(name, words)
        except click.MissingParameter:
            return True  # a command's arguments are not in the text
        except click.UsageError:
            return False
        return True

    options = {option for c in COMMANDS.values() for p in c.params for option in p.opts} | {"--help"}
    assert line in options or any(takes(name, shlex.split(line)) for name in COMMANDS if name != "cifarnet")


def test_every_key_exists():
    text = "\n".join([PROSE, *set(LINES).difference(MISTAKES)])
    named = set(re.findall(r"\b(?:data|network|training|evaluation|search)(?:\.[a-z_]+)+\b(?!/)", text))
    named = {key for key in named if not re.search(r"\.(csv|json|png|py|svg|yaml)$|^search\.over\.", key)}
    known = {".".join(key.split(".")[:n]) for key in list(config.keys()) for n in range(1, 6)} | {"search.over"}
    assert {"training.lambda"} <= named <= known


def test_every_link_and_every_test_that_is_named_exists():
    for page in PAGES:
        headings = re.sub(r"[^\w\n -]", "", "\n".join(re.findall("^#.*", page.read_text(), re.MULTILINE)).lower())
        for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
            place, _, heading = link.partition("#")
            assert place.startswith("https://") or (page.parent / place).exists(), f"{page}: {link}"
            assert place or f" {heading.replace('-', ' ')}\n" in f"{headings}\n", f"{page}: {link}"
    tests = {path.name: path.read_text() for path in Path(__file__).parent.glob("*.py")}
    named = set(re.findall(r"`(test_\w+(?:\.py)?)`", PAGES[1].read_text()))
    assert not [name for name in named if name not in tests and f"def {name}(" not in "".join(tests.values())]


def test_every_target_room_and_config_exists():
    targets = {"make", *(readme.ROOT / "Makefile").read_text().splitlines()[0].split()}
    lines = [line for line in CODE + [command for block in BLOCKS for command, _ in block.steps] if line[:5] == "make "]
    assert {word for line in lines for word in shlex.split(line, comments=True) if "=" not in word} <= targets
    trees = "\n".join(block.body for block in BLOCKS if block.kind == "")
    rooms = {path.name for path in (readme.ROOT / "cifarnet").iterdir() if path.is_dir() and path.name[0] != "_"}
    assert set(re.findall(r"^(\w+)/ ", trees, re.MULTILINE)) == rooms
    configs = "".join(path.read_text() for path in config.shipped().values())
    assert all(block.body.strip() in configs for block in BLOCKS if block.kind == "yaml")


def test_every_extra_exists():
    """Those of pip, in the texts, the help and the errors."""
    known = tomllib.loads((readme.ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    texts = [*(page.read_text() for page in PAGES), *(p.read_text() for p in readme.ROOT.glob("cifarnet/**/*.py"))]
    named = {name for text in texts for name in re.findall(r"'(?:\.|cifarnet)\[(\w+)\]'", text)}
    assert {"sklearn", "tpe"} <= named <= known.keys()


def test_the_readme_names_every_command():
    assert not [name for name in COMMANDS if name.count(" ") == 1 and name not in CODE]
    assert len(TEXT.splitlines()) <= 200


def test_no_figure_is_printed_without_its_spread():
    """What is measured stands in a block that is run, over a line of its spread; a prompt is in a console block."""
    assert not re.findall(r"\d+(?:\.\d+)? ?(?:%|m?s|µs|us|min|minutes|seconds|points?)(?![\w/])", PROSE)
    assert all(block.spread for block in BLOCKS if readme.FIGURE.search(block.body))
    assert TEXT.count("\n$ ") == sum(len(block.steps) for block in BLOCKS if block.kind == "console")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_on_a_screen_and_has_examples(name):
    """At most 40 lines of 80 columns, `cifarnet ...` as it is typed among them; each option and its value in words."""
    command, lines = COMMANDS[name], HELP[name].splitlines()
    assert len(lines) <= 40 and max(map(len, lines)) <= 80
    assert not re.search("RANGE|INTEGER|VALUE(?!,)", HELP[name].replace("KEY=VALUE", ""))
    assert re.search(rf"Examples?:\n( +cifarnet .*\n)*? +{name}\b", HELP[name])
    for option in (parameter for parameter in command.params if isinstance(parameter, click.Option)):
        assert option.help and not option.hidden, option.opts


def test_accuracies_agree_within_their_spread():
    """Names of runs and durations may differ; words and whole numbers may not."""
    shown = "runs/20260101-000000-train-x\n200 updates in 3.4 s; test 50.12%\n"
    other = "runs/20271231-235959-2-train-x\n200  updates in 1 min; test 50.40%"
    spread = "With seeds 1 to 3: test 50.00 ± 0.10%, in 3.1 to 4 s on 2 cores."
    assert readme.agrees(other, shown, spread)
    assert not readme.agrees(other, shown, spread.replace("0.10", "0.09"))
    assert not readme.agrees(other, shown)
    assert readme.agrees(shown, shown)
    assert not readme.agrees(shown.replace("200", "201"), shown, spread)
    assert not readme.agrees(shown.replace("test 50", "training 50"), shown, spread)


@pytest.mark.torture
def test_what_the_readme_shows_is_what_happens(real_data_dir, tmp_path):
    """`make readme` would change nothing."""
    assert readme.refresh(TEXT, readme.Session(tmp_path, real_data_dir)) == TEXT
