"""The lines that `up` prints survive a shell, whatever the key and the directory look like."""

import json
import shlex
from pathlib import Path

from app.cli.welcome import PROMPT, generate_line, submit_line, welcome


def test_the_curl_line_is_one_line_that_a_shell_reads_as_meant() -> None:
    line = submit_line("http://127.0.0.1:8000", "dk_live_k")
    assert "\n" not in line
    words = shlex.split(line)
    assert words[0] == "curl"
    assert "http://127.0.0.1:8000/v1/flux-nano" in words
    assert "x-key: dk_live_k" in words
    assert json.loads(words[-1]) == {"prompt": PROMPT}


def test_a_directory_with_blanks_and_quotes_is_quoted() -> None:
    words = shlex.split(generate_line(Path("/tmp/my d'ir")))
    assert words[-1] == "/tmp/my d'ir"
    assert PROMPT in words


def test_the_greeting_names_the_playground_and_the_key() -> None:
    text = welcome("http://127.0.0.1:8000", "dk_live_k", Path("/d"))
    assert "Playground  http://127.0.0.1:8000/playground/" in text
    assert "API key     dk_live_k\n" in text
