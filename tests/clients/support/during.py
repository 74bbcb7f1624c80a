"""Runs commands while another one watches, in lock step: `during COMMAND LINES [CHANGE LINES]...`.

COMMAND is started, and so many of its LINES are awaited; then each CHANGE is run, and the lines that it brings are awaited.
In the end COMMAND is interrupted. Only what COMMAND prints is printed.
"""

import signal
import subprocess
import sys

command, lines, *rest = sys.argv[1:]
with subprocess.Popen(
    ["bash", "-c", f"exec {command}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
) as watch:
    assert watch.stdout is not None
    for change, count in [("true", lines), *zip(rest[::2], rest[1::2], strict=True)]:
        subprocess.run(["bash", "-c", change], check=True, stdout=subprocess.DEVNULL)
        for _ in range(int(count)):
            print(watch.stdout.readline(), end="", flush=True)
    watch.send_signal(signal.SIGINT)
