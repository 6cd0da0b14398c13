"""Where configs are: those that come with cifarnet, by name, and others by path."""

import difflib
from pathlib import Path

from cifarnet.config.problems import MAX_SHOWN, legible, quoted
from cifarnet.errors import ConfigError


def find(source: str | Path) -> Path:
    """The config file of this path, or else the shipped one of this name.

    Raises
    ------
    ConfigError
        There is neither.
    """
    path, name = Path(source), str(source).removesuffix(".yaml")
    try:
        if path.exists() and not path.is_dir():
            return path
    except (OSError, ValueError):  # a name that no file system takes: too long, or with a NUL in it
        pass
    configs = shipped()
    if name in configs:
        return configs[name]
    near = difflib.get_close_matches(path.stem[:MAX_SHOWN], configs, 1)
    hint = f"did you mean {near[0]}?" if near else f"name a YAML file, or one of {', '.join(configs)}"
    raise ConfigError(legible(f"{quoted(str(source))}: no such config; {hint}"))


def shipped() -> dict[str, Path]:
    """The configs that come with cifarnet, by name."""
    return {path.stem: path for path in sorted(folder().glob("*.yaml"))}


def folder() -> Path:
    """Where the shipped configs and studies are: inside the installed package, or beside it in the repository."""
    package = Path(__file__).parent.parent
    return package / "configs" if (package / "configs").is_dir() else package.parent / "configs"
