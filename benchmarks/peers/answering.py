"""What every peer's script does: questions from standard input, answers to a file, one a line."""

import json
import resource
import sys
import time
from contextlib import redirect_stdout


def answer_all(ask):
    """Answer each row; what a peer says against one stands in its place."""
    rows, found = json.load(sys.stdin), []
    begun = time.process_time()
    for row in rows:
        try:
            with redirect_stdout(sys.stderr):
                told = ask(row)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            told = {"error": f"{type(error).__name__}: {error}".partition("\n")[0]}
        found.append(told)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    whole = {"answers": found, "cpu_s": time.process_time() - begun, "memory": used}
    with open(sys.argv[1], "w", encoding="utf-8") as out:  # noqa: PTH123
        json.dump(whole, out)
