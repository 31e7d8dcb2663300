"""`optbench completion`: what a shell needs to complete the command's words."""

from collections.abc import Iterator
from pathlib import Path

from optbench.commands.arguments import Parser
from optbench.configs import CONF, fields, files, groups

SCRIPT = """\
if [ -n "$ZSH_VERSION" ]; then autoload -U +X compinit bashcompinit && compinit && bashcompinit; fi
_optbench() {
    local typed="${COMP_LINE:0:$COMP_POINT}"
    local word="${typed##* }" head=""
    # a shell that breaks words at `=` replaces what follows it only
    case "$word" in *=*) [[ "$COMP_WORDBREAKS" == *=* ]] && head="${word%%=*}=";; esac
    COMPREPLY=()
    local choice
    while IFS= read -r choice; do
        [[ "$choice" == "$word"* ]] && COMPREPLY+=("${choice#"$head"}")
    done < <(optbench completion words -- $typed"${typed:+ }" 2>/dev/null)
    case "${COMPREPLY[0]}" in *=) compopt -o nospace 2>/dev/null;; esac
}
complete -o default -F _optbench optbench"""
"""Defines and installs the completion, in bash and in zsh."""

FLAGS = ["-m", "--cfg", "--config-dir", "--help"]


def main(arguments: list[str]) -> None:
    """Run `optbench completion`."""
    parser = Parser(prog="optbench completion", description="Complete in a shell: source <(optbench completion bash)")
    parser.add_argument("shell", choices=["bash", "zsh", "words"], help="`words` prints the choices for what follows")
    parser.add_argument("typed", nargs="*", help="the words of the line so far")
    given = parser.parse_args(arguments)
    print("\n".join(words(given.typed)) if given.shell == "words" else SCRIPT)


def words(typed: list[str]) -> Iterator[str]:
    """Yield what may follow in a line.

    Args:
        typed: Its words, `optbench` and the one that is being typed included.
    """
    from optbench.commands.main import COMMANDS

    command = typed[1] if len(typed) > 1 else ""
    word = typed[-1] if typed else ""
    key, equals, _ = word.partition("=")
    if command not in COMMANDS or len(typed) == 2 and command != word:
        yield from COMMANDS
    elif command == "list":
        yield from ("optimizers", "hyperparameters", "data", "models", "schedules", "studies", "surfaces")
    elif command in ("train", "plan", "surface", "terrain") and equals:
        yield from (f"{key}={path.stem}" for path in files([CONF], folder(command, key)))
    elif command in ("train", "plan"):
        yield from [*FLAGS, *(f"{group}=" for group in groups()), *(f"{field}=" for field in fields())]


def folder(command: str, key: str) -> str:
    """Return the folder of the configs that a key chooses from."""
    return "surface_study" if key == "study" and command not in ("train", "plan") else str(Path(key))
