"""The scripts for shells, in the shells: commands, options and addresses of the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.console import Console

ZSH = """
autoload -Uz compinit && compinit -u -D
compdef() { function_name=$1 }
_arguments() { print -rl -- "$@" }
source <(sharectl completion zsh)
words=(LINE); CURRENT=$#words
$function_name
"""
BASH = """
source <(sharectl completion bash)
COMP_WORDS=(LINE); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_sharectl_completion sharectl
printf '%s\\n' "${COMPREPLY[@]}"
"""
FISH = """
sharectl completion fish | source
complete --do-complete 'LINE'
"""


@pytest.mark.parametrize(("shell", "script"), [("bash", BASH), ("zsh", ZSH), ("fish", FISH)])
def test_a_shell_completes_what_is_typed(shell: str, script: str, applied: Console, tmp_path: Path) -> None:
    """As it is set up by the script that sharectl prints for it."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"needs {shell} (apt-get install {shell})")
    folder = Path(sys.executable).parent
    environment = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path), "TERM": "dumb"}

    def complete(line: str) -> str:
        done = subprocess.run(
            [program, "-c", script.replace("LINE", line)],
            cwd=applied.root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
        assert done.stderr == ""
        return done.stdout

    shares = complete("sharectl show share/")
    assert "share/one" in shares
    assert "share/two" in shares
    assert "validate" in complete("sharectl val")
